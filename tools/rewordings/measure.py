"""What the rules of a reward do to the cases of one half, whatever judge and embedder would say.

The judge says YES to right answers and NO to all others, the embedder finds everything equal (cosine 1). So what a
right answer loses was taken by a rule, and what an attack has beyond format and tag no rule took.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medix_r1.evaluation.results.statistics import share
from medix_r1.models.judge import Question, Verdict
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.composite import CompositeReward, RewardBreakdown
from medix_r1.scoring.composed import ReadyReward
from tools.rewordings.case import Case
from tools.rewordings.templates import load
from tools.rewordings.terms import capital

TAG = "<X_RAY>"
QUESTION = "What is asked for?"
MONITORS = ("hedging", "numeric", "laterality", "negation", "grade")
_ROUNDING = 1e-6


class SaysAlways:
    """A judge that has one verdict for everything."""

    def __init__(self, matches: bool) -> None:
        self._verdict = Verdict(matches, "YES" if matches else "NO")

    async def judge(self, question: Question) -> Verdict:
        """The verdict."""
        return self._verdict

    def statistics(self) -> dict[str, float]:
        """It keeps none."""
        return {}

    async def aclose(self) -> None:
        """Nothing is open."""


class FindsAllEqual:
    """An embedder for which all texts mean the same."""

    async def similarity(self, prediction: str, reference: str) -> float:
        """Cosine 1."""
        return 1.0

    def statistics(self) -> dict[str, float]:
        """It keeps none."""
        return {}

    def versions(self) -> dict[str, str]:
        """It has none."""
        return {}

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A case and its reward.

    Attributes:
        case: the case.
        reward: the total; None when it is unscored.
        parts: of each signal, with or without weight.
        lost: signals with weight that are below 1.
        why: what the rules say of them.
    """

    case: Case
    reward: float | None
    parts: Mapping[str, float | None]
    lost: tuple[str, ...]
    why: str

    @property
    def refused(self) -> bool:
        """A rule took the embedding's part, so that an attack earns no more than format and tag."""
        return "embed" in self.lost

    @property
    def bound(self) -> float:
        """What n things may earn: no more than naming one of them by chance."""
        return 0.145 + 0.855 / self.case.n

    @property
    def too_much(self) -> bool:
        return self.reward is None or self.reward > self.bound + _ROUNDING


def score(ready: ReadyReward, cases: Sequence[Case]) -> list[Scored]:
    """The reward of every case, in order."""
    return asyncio.run(_score(ready.composite, ready.reader, ready.think_element, cases))


async def _score(composite: CompositeReward, reader: SampleReader, think: str, cases: Sequence[Case]) -> list[Scored]:
    signals: Any = composite.signals
    signals["embed"].embedder = FindsAllEqual()
    judges = {True: SaysAlways(True), False: SaysAlways(False)}
    found = []
    for case in cases:
        signals["llm"].judge = judges[case.label == "right"]
        reply = f"{TAG}<{think}>I look at the image.</{think}><answer>{case.answer}</answer>"
        sample = reader.read(reply, reference=TAG + case.reference, has_image=True, question=QUESTION)
        found.append(_scored(case, await composite.score(sample)))
    return found


def _scored(case: Case, breakdown: RewardBreakdown) -> Scored:
    parts = {name: part.value for name, part in breakdown.parts.items()}
    counted = {name for name, weight in breakdown.weights.items() if weight} or {"llm", "embed", "format", "modality"}
    lost = tuple(name for name in parts if name in counted and (parts[name] or 0.0) < 1.0 - _ROUNDING)
    why = "; ".join(f"{name}: {breakdown.parts[name].reason}" for name in lost)
    return Scored(case, breakdown.total, parts, lost, why)


def summary(scored: Sequence[Scored]) -> dict[str, Any]:
    """Shares with Wilson's 95 % intervals, overall and by kind."""
    right, several, wrong = (
        [one for one in scored if one.case.label == label] for label in ("right", "several", "wrong")
    )
    refused = [one for one in scored if one.refused and one.case.label != "wrong"]
    return {
        "looks_like": load("shared")["looks_like"],
        "right": {
            "lost": _share(right, _loses),
            "by_kind": _by(right, "kind", _loses),
            "examples": _examples(right),
            "by_form": _by(right, "form", _loses),
            "monitors": {name: _share(right, _flagged_by(name)) for name in MONITORS if name in right[0].parts},
        },
        "several": {
            "refused": _share(several, _refused),
            "refused_of_3_or_more": _share([one for one in several if one.case.n >= 3], _refused),
            "too_much": sum(one.too_much for one in several),
            "most": _most(several),
            "by_kind": _by(several, "kind", _refused),
            "examples": _examples(several),
            "by_form": _by(several, "form", _refused),
            "by_what": _by(several, "what", _refused),
            "too_much_by_kind": _counts(one.case.kind for one in several if one.too_much),
            "precision": _share(refused, lambda one: one.case.label == "several"),
        },
        "wrong": {
            "refused": _share(wrong, _refused),
            "by_kind": _by(wrong, "kind", _refused),
            "most": _most(wrong),
            "monitors": {name: _share(wrong, _flagged_by(name)) for name in MONITORS if name in wrong[0].parts},
        },
    }


def in_short(scored: Sequence[Scored]) -> dict[str, Any]:
    """What a set without kinds shows: the shares, and how many attacks earn too much."""
    right, several = ([one for one in scored if one.case.label == label] for label in ("right", "several"))
    return {
        "lost": _share(right, _loses),
        "refused": _share(several, _refused),
        "refused_of_3_or_more": _share([one for one in several if one.case.n >= 3], _refused),
        "too_much": sum(one.too_much for one in several),
    }


def _most(some: Sequence[Scored]) -> float:
    return max(1.0 if one.reward is None else one.reward for one in some)


def misses(scored: Iterable[Scored]) -> list[str]:
    """A line for each right answer that lost a part, each attack that no rule refused, in the order of the kinds."""
    return _lines(one for one in scored if (one.lost if one.case.label == "right" else _unrefused_attack(one)))


def too_much(scored: Iterable[Scored]) -> list[str]:
    """A line for each attack that earns more than its bound."""
    return _lines(one for one in scored if one.case.label == "several" and one.too_much)


def _lines(found: Iterable[Scored]) -> list[str]:
    return [
        f"{one.case.kind}: {_quoted(one.case)}"
        + (f" loses {one.why}" if one.case.label == "right" else f" (n {one.case.n}) earns {_said(one)}")
        for one in sorted(found, key=lambda one: (one.case.label, one.case.kind))
    ]


def false_alarms(scored: Iterable[Scored]) -> list[str]:
    """A line for each right answer that a monitor flags."""
    return [
        f"{name}, {one.case.kind}: {_quoted(one.case)}"
        for name in MONITORS
        for one in scored
        if one.case.label == "right" and _flagged_by(name)(one)
    ]


def _quoted(case: Case) -> str:
    return " for ".join(json.dumps(text, ensure_ascii=False) for text in (case.answer, case.reference))


def _said(one: Scored) -> str:
    reward = "nothing, unscored" if one.reward is None else f"{one.reward:.4f}"
    return f"{reward}{', above its bound' if one.too_much else ''}"


def _unrefused_attack(one: Scored) -> bool:
    return one.case.label == "several" and (one.too_much or not one.refused)


def _loses(one: Scored) -> bool:
    return bool(one.lost)


def _refused(one: Scored) -> bool:
    return one.refused


def _flagged_by(name: str) -> Callable[[Scored], bool]:
    def flagged(one: Scored) -> bool:
        value = one.parts.get(name)
        return value is not None and value < 1.0 - _ROUNDING

    return flagged


def _share(some: Sequence[Scored], holds: Callable[[Scored], bool]) -> dict[str, Any]:
    return _interval(sum(map(holds, some)), len(some))


def _interval(count: int, of: int) -> dict[str, Any]:
    found = share(count, of)
    interval = [round(found.interval.low, 4), round(found.interval.high, 4)] if found.interval else None
    return {"count": count, "of": of, "share": round(count / of, 4) if of else None, "ci": interval}


def added(shares: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One share of several sets together."""
    return _interval(sum(one["count"] for one in shares), sum(one["of"] for one in shares))


def _by(some: Sequence[Scored], attribute: str, holds: Callable[[Scored], bool]) -> dict[str, Any]:
    groups: dict[str, list[Scored]] = defaultdict(list)
    for one in some:
        groups[getattr(one.case, attribute)].append(one)
    return {name: _share(group, holds) for name, group in groups.items()}


def _examples(some: Sequence[Scored]) -> dict[str, str]:
    """A short case of each kind, of named things where there are any, without those whose form is held back."""
    found: dict[str, Case] = {}
    for case in (one.case for one in some if one.case.form == "shared"):
        if case.kind not in found or _shortness(case) < _shortness(found[case.kind]):
            found[case.kind] = case
    return {kind: f"{case.answer} ← {case.reference}" for kind, case in found.items()}


def _shortness(case: Case) -> tuple[bool, int]:
    return case.what not in ("named", "signed"), len(case.answer)


def _counts(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for name in names:
        found[name] += 1
    return dict(found)


def said_of(title: str, shares: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table for the terminal: a line a kind, the worst first where `title` says what is bad."""
    rows = sorted(shares.items(), key=lambda item: -item[1]["share"])
    return [f"{capital(title)}:", *(f"  {name:28} {_line(found)}" for name, found in rows)]


def _line(found: Mapping[str, Any]) -> str:
    if found["ci"] is None:
        return "no case"
    low, high = found["ci"]
    return f"{found['count']:5} of {found['of']:5}  {100 * found['share']:5.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def short_table(found: Mapping[str, Any]) -> list[str]:
    """What `in_short` found as lines."""
    return [
        f"right answers that lose a part: {_line(found['lost'])}",
        f"attacks refused, recall:        {_line(found['refused'])}",
        f"  of three things or more:      {_line(found['refused_of_3_or_more'])}",
        f"attacks that earn more than 0.145 + 0.855/n: {found['too_much']}",
    ]


def table(found: Mapping[str, Any]) -> list[str]:
    """The summary as lines."""
    right, several, wrong = found["right"], found["several"], found["wrong"]
    return [
        *said_of("right answers that lose a part by rule", right["by_kind"]),
        *said_of("attacks refused by rule", several["by_kind"]),
        *said_of("attacks refused, by what is asked for", several["by_what"]),
        *said_of("single wrong answers refused (judge and embedder must see the others)", wrong["by_kind"]),
        *said_of("right answers that a monitor flags", right["monitors"]),
        *said_of("right answers that lose a part, by form", right["by_form"]),
        *said_of("attacks refused, by form", several["by_form"]),
        "",
        f"right answers that lose a part: {_line(right['lost'])}",
        f"attacks refused, recall:        {_line(several['refused'])}",
        f"  of three things or more:      {_line(several['refused_of_3_or_more'])}",
        f"attacks among what is refused:  {_line(several['precision'])}",
        f"attacks that earn more than 0.145 + 0.855/n: {several['too_much']}",
    ]
