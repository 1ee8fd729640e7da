"""What a search found: tables, JSON, and a file of probes of one's own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.table import Table

from medix_r1.scoring.attack.kinds import Kind
from medix_r1.scoring.attack.search import Search
from medix_r1.scoring.plain import plain

_NO_NAME = re.compile(r"[^a-z0-9]+")
_LONG = 300
_HEAD = """\
# Written by `medix-r1 reward attack`: wrong replies that a reward paid for, with the bound that each broke. Read by
#   medix-r1 reward probe --probes FILE ...
# `max` is what the reply may earn: what its form is due, and where it offers n things a share of 1/n of the rest.
"""


def in_order(kinds: Sequence[Kind]) -> list[Kind]:
    """Kinds by what they earn beyond what is due, on the share of the questions where they do."""
    return sorted(kinds, key=lambda kind: -((kind.earned - kind.due) * kind.share))


def table(kinds: Sequence[Kind]) -> Table:
    """One line for each kind, with its shortest attack."""
    found = Table(title="What pays for wrong answers", title_justify="left", show_lines=True)
    found.add_column("what pays", overflow="fold")
    found.add_column("parts", overflow="fold")
    found.add_column("earns", justify="right", no_wrap=True)
    found.add_column("due", justify="right", no_wrap=True)
    found.add_column("on", justify="right", no_wrap=True)
    found.add_column("asked, right, said; why it is wrong", overflow="fold")
    for kind in in_order(kinds):
        attempt = kind.examples[0].attempt
        shown = plain(attempt.target.question, limit=_LONG)
        for text in (attempt.target.answer, _said(kind), attempt.because):
            shown.append("\n")
            shown.append_text(plain(text, limit=_LONG))
        parts = ", ".join(sorted(kind.parts))
        earned = f"{kind.earned:.3f}" if kind.rewards else "none"
        found.add_row(
            plain(kind.name, limit=_LONG),
            plain(parts),
            earned,
            f"{kind.due:.3f}",
            f"{kind.paid}/{kind.tried}",
            shown,
        )
    return found


def _said(kind: Kind) -> str:
    attempt = kind.examples[0].attempt
    return attempt.reply if kind.group in ("form", "reasoning") else attempt.answer


def as_json(search: Search, about: Mapping[str, Any]) -> str:
    """All that was found as JSON, ASCII only because replies may contain terminal escapes."""
    kinds = [
        {
            "name": kind.name,
            "group": kind.group,
            "parts": sorted(kind.parts),
            "piece": kind.piece,
            "place": kind.place,
            "characters": kind.characters,
            "found_by": kind.found_by,
            "tried": kind.tried,
            "paid": kind.paid,
            "share": kind.share,
            "earned": kind.earned if kind.rewards else None,
            "due": kind.due,
            "rests_on": search.scorer.rests_on(kind.parts),
            "examples": [
                {
                    "question": one.attempt.target.question,
                    "reference": one.attempt.target.reference,
                    "reply": one.attempt.reply,
                    "answer": one.attempt.answer,
                    "wrong_because": one.attempt.because,
                    "overall": one.outcome.total,
                    "parts": dict(one.outcome.parts),
                    "paid_by": sorted(one.parts),
                    "failure": one.outcome.failure,
                }
                for one in kind.examples
            ],
        }
        for kind in in_order(search.state.kinds)
    ]
    figures = {
        "calls": search.scorer.journal.calls,
        "budget": search.scorer.budget,
        "tries": len(search.scorer.journal.outcomes),
        "plain_tried": search.plain_tried,
        "plain_paid": search.plain_paid,
        "paid_for_form": sorted(search.scorer.form),
        "paid_for_anything": sorted(search.scorer.always),
    }
    return json.dumps({**about, **figures, "kinds": kinds}, indent=1)


def as_probes(search: Search) -> str:
    """The attacks as a file of probes, a family for each kind."""
    rows: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    families = []
    for number, kind in enumerate(in_order(search.state.kinds), 1):
        cases: list[dict[str, Any]] = []
        for example in kind.examples:
            target = example.attempt.target
            name = names.setdefault(target.key, f"row_{len(names) + 1}")
            rows[name] = {"question": target.question, "reference": target.reference}
            if target.choices:
                rows[name]["choices"] = list(target.choices)
            bound = min(1.0, math.ceil(1000 * search.scorer.due_of(example.attempt) + 1) / 1000)
            cases.append(
                {
                    "row": name,
                    "reply": example.attempt.reply,
                    "max": {"overall": bound},
                    "why": f"wrong: {example.attempt.because}",
                }
            )
        families.append(
            {
                "family": f"{_NO_NAME.sub('_', kind.name.lower()).strip('_')[:40] or 'attack'}_{number}",
                "about": kind.name,
                "max": {"overall": cases[0]["max"]["overall"]},
                "rests_on": search.scorer.rests_on(kind.parts),
                "why": f"{', '.join(sorted(kind.parts))} paid for it on {kind.paid} of {kind.tried} questions",
                "cases": cases,
            }
        )
    return _HEAD + yaml.safe_dump({"rows": rows, "attacks": families}, sort_keys=False, width=120)
