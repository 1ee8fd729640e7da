"""Rubrics: criteria with points, the question to a judge about one of them, its verdict, and what the points add up to.

As HealthBench does it (openai/simple-evals, healthbench_eval.py): a criterion is met or not, negative points are for
what should not be there, and a reply's score is the points of the met criteria over all positive points, so that it
may be negative. Only the mean over replies is clipped there. The texts of the prompts are ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medix_r1 import prompts
from medix_r1.errors import DataError
from medix_r1.models.reading.json_objects import objects_in
from medix_r1.models.reading.reply_text import read_verdict, strip_thinking

VerdictForm = Literal["json", "yes_no"]
PROMPTS: Mapping[VerdictForm, str] = {"json": "criterion", "yes_no": "criterion_yes_no"}
WANTED: Mapping[VerdictForm, str] = {
    "json": "JSON with an explanation and criteria_met, true or false",
    "yes_no": "YES or NO beyond doubt",
}
_PLACEHOLDER = re.compile(r"\{(conversation|reply|criterion|points)\}")
# HealthBench's own template has these marks; with it the reply is the conversation's last turn.
_HEALTHBENCH = {"<<conversation>>": "{conversation}\nassistant: {reply}", "<<rubric_item>>": "[{points}] {criterion}"}
_TOLD = re.compile(r"criteria[_ ]met[\s*_\"'`]{0,4}(?:is|:|=)[\s*_\"'`]{0,4}(true|false)\b", re.IGNORECASE)
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of a rubric.

    Attributes:
        text: what is looked for.
        points: for meeting it; negative where a reply should not meet it.
        tags: groups that it belongs to, such as `axis:accuracy`.
    """

    text: str
    points: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which values a score lies: they differ where verdicts are missing."""

    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The score; None where a missing verdict could change it."""
        return self.low if self.high - self.low < _SAME else None

    def clipped(self) -> Bounds:
        """The bounds of the score clipped to [0, 1]."""
        return Bounds(*(min(1.0, max(0.0, bound)) for bound in (self.low, self.high)))


def criteria_of(value: Any) -> tuple[Criterion, ...]:
    """Read a rubric: a list of `{criterion, points, tags}`, as HealthBench has it; `tag` may name one tag alone.

    Raises:
        DataError: it is no such list, a field is missing or wrong, or no criterion has positive points.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise DataError("the rubric is no list of criteria", code="not-a-rubric")
    found = tuple(_criterion(number, entry) for number, entry in enumerate(value, start=1))
    if not any(criterion.points > 0 for criterion in found):
        raise DataError("no criterion of the rubric has positive points, so nothing can be earned", code="no-points")
    return found


def _criterion(number: int, entry: Any) -> Criterion:
    where = f"criterion {number}"
    if not isinstance(entry, Mapping):
        raise DataError(f"{where} is {type(entry).__name__}, not {{criterion, points, tags}}", code="not-a-criterion")
    text, points, tags = entry.get("criterion"), entry.get("points"), entry.get("tags", entry.get("tag"))
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where} has no text under `criterion`", code="not-a-criterion")
    if isinstance(points, bool) or not isinstance(points, int | float) or not math.isfinite(points):
        raise DataError(f"{where}: points {points!r} is no number", code="not-a-criterion")
    named = [tags] if isinstance(tags, str) else list(tags or ())
    if not all(isinstance(tag, str) for tag in named):
        raise DataError(f"{where}: tags {named!r} are no texts", code="not-a-criterion")
    return Criterion(text.strip(), float(points), tuple(dict.fromkeys(named)))


def rubric_bounds(criteria: Sequence[Criterion], met: Sequence[bool | None]) -> Bounds | None:
    """Points of the met criteria over all positive points; None where no criterion has positive points.

    Args:
        criteria: of the rubric, or those of one tag.
        met: a verdict for each; None where it is missing. All that is missing gives bounds.
    """
    possible = sum(criterion.points for criterion in criteria if criterion.points > 0)
    if possible <= 0:
        return None
    low = high = 0.0
    for criterion, verdict in zip(criteria, met, strict=True):
        low += criterion.points if verdict or (verdict is None and criterion.points < 0) else 0.0
        high += criterion.points if verdict or (verdict is None and criterion.points > 0) else 0.0
    return Bounds(low / possible, high / possible)


def bounds_by_tag(criteria: Sequence[Criterion], met: Sequence[bool | None]) -> dict[str, Bounds]:
    """`rubric_bounds` of the criteria of each tag; tags without positive points have none."""
    found = {}
    for tag in dict.fromkeys(tag for criterion in criteria for tag in criterion.tags):
        members = [place for place, criterion in enumerate(criteria) if tag in criterion.tags]
        bounds = rubric_bounds([criteria[place] for place in members], [met[place] for place in members])
        if bounds is not None:
            found[tag] = bounds
    return found


def criterion_prompt(
    template: str, turns: Sequence[tuple[str, str]], reply: str, criterion: Criterion, *, max_chars: int
) -> str:
    """The question to a judge about one criterion; every inserted text is neutralised, each turn on a line.

    Args:
        template: text with `{conversation}`, `{reply}`, `{criterion}` and `{points}`, or HealthBench's own with
            `<<conversation>>` and `<<rubric_item>>`.
        turns: (role, text) of what was said before the reply.
        reply: the text to judge.
        criterion: what is looked for.
        max_chars: longer texts are cut, each by itself.
    """
    for mark, ours in _HEALTHBENCH.items():
        template = template.replace(mark, ours)
    fields = {
        "conversation": "\n".join(f"{role}: {prompts.neutralise(text, max_chars=max_chars)}" for role, text in turns),
        "reply": prompts.neutralise(reply, max_chars=max_chars),
        "criterion": prompts.neutralise(criterion.text, max_chars=max_chars),
        "points": f"{criterion.points:g}",
    }
    return _PLACEHOLDER.sub(lambda match: fields[match[1]], template)


def missing_marks(template: str) -> list[str]:
    """The marks that a template lacks, in either spelling: what is judged, and by which criterion."""
    reply = "{reply}" in template or "<<conversation>>" in template
    criterion = "{criterion}" in template or "<<rubric_item>>" in template
    return [mark for mark, there in (("{reply}", reply), ("{criterion}", criterion)) if not there]


def read_criterion(reply: str, form: VerdictForm) -> tuple[bool, str] | None:
    """Whether a judge says that the criterion is met, and why; None for what could be read in two ways."""
    if form == "yes_no":
        return read_verdict(reply)
    text = strip_thinking(reply)
    found: set[bool] = set()
    why, prose, end = "", "", 0
    for start, stop, pairs in objects_in(text):
        prose, end = prose + text[end:start], stop
        members = [(key.strip().lower(), value) for key, value in pairs]
        told = [_truth(value) for key, value in members if key == "criteria_met"]
        if None in told:
            return None
        found |= {value for value in told if value is not None}
        why = why or next((str(value) for key, value in members if key == "explanation"), "") if told else why
    if not found:
        return None  # a verdict in prose alone is not what was asked for
    found |= {word.lower() == "true" for word in _TOLD.findall(prose + text[end:])}
    return (found.pop(), why) if len(found) == 1 else None


def _truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
