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
from medix_r1.errors import DataError, Problem
from medix_r1.models.reading.json_objects import objects_in
from medix_r1.models.reading.reply_text import read_verdict, strip_thinking

VerdictForm = Literal["json", "yes_no"]
PROMPTS: Mapping[VerdictForm, str] = {"json": "criterion", "yes_no": "criterion_yes_no"}
WANTED: Mapping[VerdictForm, str] = {
    "json": "JSON with an explanation and criteria_met, true or false",
    "yes_no": "YES or NO beyond doubt",
}
_PLACEHOLDER = re.compile(r"\{(conversation|reply|criterion|criteria|points)\}")
# HealthBench's own template has these marks; with it the reply is the conversation's last turn.
_HEALTHBENCH = {"<<conversation>>": "{conversation}\nassistant: {reply}", "<<rubric_item>>": "[{points}] {criterion}"}
_TOLD = re.compile(r"criteria[_ ]met[\s*_\"'`]{0,4}(?:is|:|=)[\s*_\"'`]{0,4}(true|false)\b", re.IGNORECASE)
_LISTED = re.compile(r"[\s*_#-]{0,6}(\d{1,3})[\s*_.):=-]{1,6}(YES|NO)[\s*_.]{0,6}", re.IGNORECASE)
_SAME = 1e-9
MAX_CRITERIA = 200  # of a rubric to train on; each is a call
MAX_POINTS = 1e6  # of a criterion to train on, in size
MACHINE_MADE = "machine-made"  # tag of a criterion that a model wrote and nobody has looked at
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,99}")


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
    if not isinstance(points, int | float) or not _is_number(points):
        raise DataError(f"{where}: points {str(points)[:40]!r} is no number", code="not-points")
    named = [tags] if isinstance(tags, str) else tags if tags is not None else ()
    if not isinstance(named, Sequence) or not all(isinstance(tag, str) for tag in named):
        raise DataError(f"{where}: tags {str(named)[:40]!r} are no texts", code="not-a-tag")
    return Criterion(text.strip(), float(points), tuple(dict.fromkeys(named)))


def _is_number(value: float) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def rubric_problems(value: Any) -> list[Problem]:
    """Everything that is wrong with a rubric to train on, by the place of the criterion.

    More is wrong there than in a benchmark (`criteria_of`), which is as it was published: criteria that stand there
    twice or count nothing, tags that cannot name a part of the reward, and more criteria than anybody would pay for.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        return [Problem("rubric", "not-a-rubric", "is no list of {criterion, points, tag} with at least one in it")]
    if len(value) > MAX_CRITERIA:
        says = f"has {len(value)} criteria, each a question to the judge; use at most {MAX_CRITERIA}"
        return [Problem("rubric", "too-many-criteria", says)]
    problems: list[Problem] = []
    found: list[Criterion] = []
    for number, entry in enumerate(value, start=1):
        try:
            found.append(_criterion(number, entry))
        except DataError as error:
            problems.append(Problem(f"rubric[{number}]", error.code, str(error)))
            continue
        problems += _training_problems(f"rubric[{number}]", found[-1], found[:-1])
    if not problems and not any(criterion.points > 0 for criterion in found):
        says = (
            "has no criterion with positive points, so nothing can be earned; what a good reply does has points above 0"
        )
        problems.append(Problem("rubric", "no-points", says))
    return problems


def _training_problems(key: str, one: Criterion, before: Sequence[Criterion]) -> list[Problem]:
    problems = []
    if not 0 < abs(one.points) <= MAX_POINTS:
        says = "0 points count nothing; leave the criterion out" if not one.points else f"use at most {MAX_POINTS:g}"
        problems.append(Problem(f"{key}.points", "out-of-range", f"{one.points:g}: {says}"))
    if any(" ".join(one.text.casefold().split()) == " ".join(other.text.casefold().split()) for other in before):
        problems.append(Problem(f"{key}.criterion", "repeated-criterion", f"{one.text[:60]!r} stands there twice"))
    problems += [
        Problem(f"{key}.tags", "not-a-tag", f"{tag[:40]!r} is no name: letters, digits and . : _ - after the first")
        for tag in one.tags
        if not _TAG.fullmatch(tag)
    ]
    return problems


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
    own = {"criterion": prompts.neutralise(criterion.text, max_chars=max_chars), "points": f"{criterion.points:g}"}
    return _filled(template, turns, reply, own, max_chars)


def criteria_prompt(
    template: str, turns: Sequence[tuple[str, str]], reply: str, criteria: Sequence[Criterion], *, max_chars: int
) -> str:
    """The question about several criteria, numbered from 1; `template` has `{criteria}`, else as `criterion_prompt`."""
    texts = (prompts.neutralise(criterion.text, max_chars=max_chars) for criterion in criteria)
    listed = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))
    return _filled(template, turns, reply, {"criteria": listed}, max_chars)


def _filled(template: str, turns: Sequence[tuple[str, str]], reply: str, own: Mapping[str, str], max_chars: int) -> str:
    fields = {
        "conversation": "\n".join(f"{role}: {prompts.neutralise(text, max_chars=max_chars)}" for role, text in turns),
        "reply": prompts.neutralise(reply, max_chars=max_chars),
        **own,
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


def read_criteria(reply: str, number: int) -> tuple[bool, ...] | None:
    """The verdicts of a list of lines `1 YES`; None unless each number stands there once, and nothing beside them."""
    found: dict[int, bool] = {}
    for line in strip_thinking(reply).splitlines():
        if not line.strip(" `"):
            continue
        match = _LISTED.fullmatch(line)
        if match is None or int(match[1]) in found:
            return None
        found[int(match[1])] = match[2].upper() == "YES"
    if sorted(found) != list(range(1, number + 1)):
        return None
    return tuple(found[place] for place in range(1, number + 1))


def _truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
