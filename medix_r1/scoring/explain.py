"""`medix-r1 reward explain`: how one reply was parsed, and what each signal contributes to its reward."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from medix_r1.rewards.base import Sample
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.scoring.plain import plain


def explanation(sample: Sample, breakdown: RewardBreakdown) -> RenderableType:
    """Tables of the parsed reply and of the signals: value, effective weight, contribution, reason."""
    return Group(_parsed(sample), "", _signals(breakdown), *_remarks(sample, breakdown))


def as_json(sample: Sample, breakdown: RewardBreakdown) -> str:
    """The explanation as JSON."""
    parsed = sample.completion
    found: dict[str, Any] = {
        "overall": breakdown.total,
        "parsed": {
            "modality": parsed.modality,
            "think": parsed.think,
            "answer": parsed.answer,
            "problems": list(parsed.problems),
        },
        "reference": {"modality": sample.reference.modality, "answer": sample.reference.answer},
        "signals": {
            name: {"value": part.value, "weight": breakdown.weights.get(name), "reason": part.reason}
            for name, part in breakdown.parts.items()
        },
        "gate_shut": breakdown.gate_shut,
        "failure": breakdown.failure,
    }
    return json.dumps(found, indent=1)  # ASCII only, because replies may contain terminal escapes


def _parsed(sample: Sample) -> Table:
    parsed, reference = sample.completion, sample.reference
    table = Table(title="What was read", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("question", plain(sample.question))
    table.add_row("reference", _tagged(reference.modality, reference.answer))
    table.add_row("modality tag", _or_none(parsed.modality))
    table.add_row("think block", _or_none(parsed.think, limit=300))
    table.add_row("answer block", _or_none(parsed.answer))
    table.add_row("format", plain("; ".join(parsed.problems)) if parsed.problems else Text("as required"))
    return table


def _signals(breakdown: RewardBreakdown) -> Table:
    table = Table(title="What it earns", title_justify="left")
    table.add_column("signal", no_wrap=True)
    for heading in ("value", "weight", "adds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for name, part in breakdown.parts.items():
        weight = breakdown.weights.get(name)
        adds = None if weight is None or part.value is None else weight * part.value
        shown = "monitor" if weight == 0.0 and not breakdown.gate_shut else _number(weight)
        table.add_row(plain(name), _number(part.value, "n/a"), shown, _number(adds), plain(part.reason, limit=300))
    table.add_section()
    total = "unscored" if breakdown.total is None else f"{breakdown.total:.4f}"
    table.add_row("overall", "", "", Text(total, style="bold"), plain(breakdown.failure or "", limit=600))
    return table


def _remarks(sample: Sample, breakdown: RewardBreakdown) -> Iterator[str]:
    without = [name for name, part in breakdown.parts.items() if part.value is None and not _failed(part.reason)]
    if breakdown.total is not None and without:
        yield f"Not applicable: {', '.join(without)}. Their weight, if any, is shared out among the others."
    if breakdown.gate_shut:
        yield "The gate is shut: nothing but its own signal counts."
    if sample.cut:
        yield "The reply was cut at the length limit; reward.overlong says what training makes of that."


def _failed(reason: str) -> bool:
    return reason.startswith("failed: ")


def _number(value: float | None, missing: str = "") -> str:
    return missing if value is None else f"{value:.4f}"


def _or_none(text: str | None, *, limit: int = 2000) -> Text:
    return Text("none", style="dim") if text is None else plain(text, limit=limit)


def _tagged(tag: str | None, answer: str) -> Text:
    return plain(answer) if tag is None else Text.assemble((f"<{tag}> ", "dim"), plain(answer))
