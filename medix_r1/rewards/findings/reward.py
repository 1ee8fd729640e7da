"""Signal `findings`: how many findings of the reference a report has, and how many of its own the reference has.

As RadFact does it (Bannur et al. 2024, arXiv 2406.04449): each finding of one report is held against the other report.
The rules for sides, negations and sizes, the costs and the bounds on padding are ours.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated, Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError, JudgeError, JudgeUnavailable, Problem
from medix_r1.models.judge import Judge, Question, Verdict
from medix_r1.models.verdict import Writer
from medix_r1.rewards.base import Sample, Score, byte_limit_problems, rule_score
from medix_r1.rewards.findings.clashes import clash, clash_with, is_normal
from medix_r1.rewards.findings.points import COSTS, Finding, Points, Why, cost_problems, points, unlooked, weighted
from medix_r1.rewards.findings.sentences import sentences
from medix_r1.rewards.findings.written_list import listed
from medix_r1.schema.kinds import Kind
from medix_r1.wording.spelling import normalize_answer

SPLITS = ("rule", "judge")
WAYS = ("report", "pairs")
ENTAILED, CONTRADICTED = "finding_entailed", "finding_contradicted"
_LEAST_LOOKED_AT = 4  # findings of a reply, however few the reference has
_SHOWN = 3  # findings in a reason
_CANNOT_WRITE = Problem(
    "split", "judge-cannot-write", "this judge only says YES or NO, as a vote does; use rule, or a single judge"
)


class FindingsReward:
    """F1 of the findings of reference and reply, by a judge and by rules.

    1 for the reference itself; 0 for a reply that cannot be graded. A failed call masks the sample.

    Args:
        judge: gives the verdicts; its `JudgeError`s are not caught here.
        sources: data sources whose rows are reports; the signal does not apply to the others. None: all rows.
        split: `rule` takes each sentence as a finding; `judge` lets the judge list them, which not every judge can.
        compare: `report` asks of each finding whether the other report says it, and where it does not, whether it
            contradicts it. `pairs` asks of each pair of findings whether they say the same, with the judge's own
            prompt, and leaves contradictions to the rules: for judges that can only do that.
        question: what a judge of pairs is given as the question; None gives that of the row.
        costs: `judge`, `side`, `negation`, `size` → what a contradiction found by it costs beyond what an absent
            finding does, at least 0; None looks for none.
        normal: weight of a finding that only says that something is normal or absent; others weigh 1.
        repeats: as in `points`, at least 1.
        longest: findings of a reply beyond this many times those of the reference count as absent, without a call.
        max_bytes, refuse_echo: as in `rule_score`.

    Raises:
        ConfigError: all problems of these settings.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        sources: Sequence[str] | None = None,
        split: Annotated[str, Kind(choices=SPLITS)] = "rule",
        compare: Annotated[str, Kind(choices=WAYS)] = "report",
        question: str | None = None,
        costs: dict[str, Any] | None = None,
        normal: Annotated[float, Kind(above=0, max=1)] = 0.25,
        repeats: Annotated[float, Kind(min=1)] = 1.5,
        longest: Annotated[float, Kind(min=1)] = 3.0,
        max_bytes: Annotated[int | None, Kind(min=1)] = 3000,
        refuse_echo: bool = True,
    ) -> None:
        costs = dict.fromkeys(COSTS, 1.0) if costs is None else dict(costs)
        problems = [*_problems(split, compare, normal, repeats, longest), *cost_problems(costs)]
        if split == "judge" and judge is not None and not isinstance(judge, Writer):
            problems.append(_CANNOT_WRITE)
        if problems := [problem.below("reward.signals.findings.") for problem in problems] + byte_limit_problems(
            "reward.signals.findings.max_bytes", max_bytes
        ):
            raise ConfigError(problems)
        self.judge, self.split, self.pairs, self.question = judge, split, compare == "pairs", question
        self._sources = None if sources is None else frozenset(sources)
        self._looks_for = frozenset(why for why in COSTS if costs.get(why) is not None)
        self._costs = {why: float(costs.get(why) or 0.0) for why in COSTS}
        self._normal, self._repeats, self._longest = float(normal), float(repeats), float(longest)
        self.max_bytes, self.refuse_echo = max_bytes, refuse_echo

    async def score(self, sample: Sample) -> Score:
        if (by_rule := self.rule_score(sample)) is not None:
            return by_rule
        wanted, said = await _all([self._split(sample.reference.answer), self._split(sample.completion.answer or "")])
        if not wanted:
            return Score(None, "the reference has no finding")
        if not said:
            return Score(0.0, "the reply has no finding")
        most = max(_LEAST_LOOKED_AT, math.ceil(self._longest * len(wanted)))
        looked, rest = said[:most], said[most:]
        ask = self._asked_in_pairs if self.pairs else self._asked_of_reports
        held, own = await ask(sample, wanted, looked)
        held = weighted(held, self._weights(wanted))
        own = [*weighted(own, self._weights(looked)), *(unlooked(text) for text in rest)]
        return _scored(points(held, own, self._costs, self._repeats), held, own)

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no judge; None when the judge has to be asked."""
        if self._sources is not None and sample.source not in self._sources:
            return Score(None, f"no report: the row's source is {sample.source!r}")
        return rule_score(sample, max_bytes=self.max_bytes, refuse_echo=self.refuse_echo)

    async def _split(self, text: str) -> tuple[str, ...]:
        if self.split == "rule":
            return sentences(text)
        assert isinstance(self.judge, Writer)  # `__init__` refuses others
        return await listed(text, self.judge)

    def _weights(self, found: Sequence[str]) -> list[float]:
        """Normal findings count less; where there are no others they count whole."""
        normal = [is_normal(text) for text in found]
        return [self._normal if one and not all(normal) else 1.0 for one in normal]

    async def _asked_of_reports(
        self, sample: Sample, wanted: Sequence[str], said: Sequence[str]
    ) -> tuple[list[Finding], list[Finding]]:
        reference, reply = sample.reference.answer, sample.completion.answer or ""
        found = await _all(
            [
                *(self._held_against(sample, text, said, reply) for text in wanted),
                *(self._held_against(sample, text, wanted, reference) for text in said),
            ]
        )
        return found[: len(wanted)], found[len(wanted) :]

    async def _held_against(self, sample: Sample, finding: str, others: Sequence[str], report: str) -> Finding:
        if _is_among(finding, others):
            return Finding(finding, "entailed")
        if (why := clash_with(finding, others)) in self._looks_for:
            return Finding(finding, "contradicted", why)
        if (await self._verdict(sample, report, finding, ENTAILED)).matches:
            return Finding(finding, "entailed")
        if "judge" in self._looks_for and (await self._verdict(sample, report, finding, CONTRADICTED)).matches:
            return Finding(finding, "contradicted", "judge")
        return Finding(finding, "absent")

    async def _asked_in_pairs(
        self, sample: Sample, wanted: Sequence[str], said: Sequence[str]
    ) -> tuple[list[Finding], list[Finding]]:
        same = await _all([self._are_same(sample, one, other) for one in wanted for other in said])
        rows = [same[place : place + len(said)] for place in range(0, len(same), len(said))]
        held = [self._of_pairs(text, row, said) for text, row in zip(wanted, rows, strict=True)]
        columns = zip(*rows, strict=True)
        return held, [self._of_pairs(text, column, wanted) for text, column in zip(said, columns, strict=True)]

    async def _are_same(self, sample: Sample, wanted: str, said: str) -> bool:
        if normalize_answer(wanted) == normalize_answer(said):
            return True
        if clash(said, wanted) in self._looks_for:
            return False
        return (await self._verdict(sample, wanted, said, None)).matches

    def _of_pairs(self, finding: str, same: Sequence[bool], others: Sequence[str]) -> Finding:
        if any(same):
            return Finding(finding, "entailed")
        why: Why | None = clash_with(finding, others)
        return Finding(finding, "contradicted", why) if why in self._looks_for else Finding(finding, "absent")

    async def _verdict(self, sample: Sample, reference: str, finding: str, prompt: str | None) -> Verdict:
        asked = sample.question if self.question is None else self.question
        return await self.judge.judge(Question(asked, reference, finding, prompt=prompt))

    def statistics(self) -> dict[str, float]:
        """The judge's statistics: name → count, or seconds for `latency_*`."""
        return self.judge.statistics()


async def _all(waiting: Sequence[Awaitable[Any]]) -> list[Any]:
    """Every result, once all calls have ended; of several failures that of a judge who is down comes first."""
    results = await asyncio.gather(*waiting, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        others = (error for error in failures if not isinstance(error, JudgeError))
        down = (error for error in failures if isinstance(error, JudgeUnavailable))
        raise next(others, next(down, failures[0]))
    return results


def _is_among(finding: str, others: Sequence[str]) -> bool:
    return normalize_answer(finding) in {normalize_answer(other) for other in others}


def _scored(found: Points, held: Sequence[Finding], own: Sequence[Finding]) -> Score:
    against = [one for one in own if one.status == "contradicted"]
    notes = [f"precision {found.precision:.2f}, recall {found.recall:.2f}"]
    for label, findings in (
        ("left out", [one for one in held if one.status == "absent"]),
        ("against the reference", against),
        ("not in the reference", [one for one in own if one.status == "absent"]),
    ):
        if findings:
            texts = ", ".join(f"{one.text[:60]!r}{f' ({one.why})' if one.why else ''}" for one in findings[:_SHOWN])
            notes.append(f"{label}: {texts}{' …' if len(findings) > _SHOWN else ''}")
    numbers = {
        "precision": found.precision,
        "recall": found.recall,
        "contradicted": float(len(against)),
        "findings": float(len(own)),
    }
    return Score(found.f1, "; ".join(notes), numbers)


def split_problems(signal: Mapping[str, Any]) -> list[Problem]:
    """A problem of a signal's settings whose judge is to list findings and cannot; nothing is built."""
    judge = signal.get("judge")
    if signal.get("split") != "judge" or not isinstance(judge, Mapping):
        return []
    try:
        made = user_code.load(judge.get("_target_"), "judge")
    except ConfigError:
        return []  # reported when the config was composed
    return [] if hasattr(made, "write") else [_CANNOT_WRITE]


def _problems(split: str, compare: str, normal: float, repeats: float, longest: float) -> list[Problem]:
    problems = [
        Problem(key, "not-a-choice", f"'{value}' is neither {' nor '.join(choices)}")
        for key, value, choices in (("split", split, SPLITS), ("compare", compare, WAYS))
        if value not in choices
    ]
    if not 0 < normal <= 1:
        problems.append(Problem("normal", "out-of-range", f"{normal} is not above 0 and at most 1"))
    return problems + [
        Problem(key, "out-of-range", f"{value} must be at least 1")
        for key, value in (("repeats", repeats), ("longest", longest))
        if not 1 <= value < math.inf
    ]
