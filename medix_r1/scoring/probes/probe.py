"""`medix-r1 reward probe`: upper bounds on the reward of attacks, lower bounds on that of unusual right answers.

The cases and their bounds are data (probe.yaml, read by probe_file.py). This file scores them with a reward and reports
the bounds that are broken.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from medix_r1.errors import JudgeUnavailable
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.groups import score_group
from medix_r1.scoring.probes.probe_file import Probe

OVERALL = "overall"
TOLERANCE = 1e-6  # for rounding in sums of weights


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one case.

    Attributes:
        probe: the case.
        overall: its reward; None when unscored.
        parts, reasons: value and reason of each part.
        failure: why it is unscored.
        broken: a sentence for each broken bound.
        not_there: bounded parts that this reward does not have.
    """

    probe: Probe
    overall: float | None
    parts: Mapping[str, float | None]
    reasons: Mapping[str, str]
    failure: str | None
    broken: tuple[str, ...]
    not_there: tuple[str, ...]

    @property
    def unscored(self) -> bool:
        return self.overall is None


async def run(
    ready: ReadyReward, probes: Sequence[Probe], *, advance: Callable[[int], None], in_flight: int = 64
) -> list[Finding]:
    """Score every case and compare it with its bounds; findings are in the order of `probes`.

    Raises:
        JudgeUnavailable: a server is down, so the bounds cannot be checked.
    """
    slots, found = asyncio.Semaphore(in_flight), dict[str, Finding]()

    async def one(probe: Probe) -> None:
        async with slots:
            breakdown = await _scored(ready, probe)
        if breakdown.outage:
            raise JudgeUnavailable(f"{probe.name}: {breakdown.failure}", code="outage")
        found[probe.name] = judge_case(probe, breakdown)
        advance(1)

    try:
        async with asyncio.TaskGroup() as group:
            for probe in probes:
                group.create_task(one(probe))
    except* JudgeUnavailable as errors:
        raise errors.exceptions[0] from None
    return [found[probe.name] for probe in probes]


async def _scored(ready: ReadyReward, probe: Probe) -> RewardBreakdown:
    """Score a case; where a signal compares the replies of a group, beside one other reply.

    An attack stands beside the reference as an answer, which it must not beat, and a right answer beside a reply
    without one.
    """
    sample = probe.sample(ready)
    if not ready.composite.group_signals:
        return await ready.composite.score(sample)
    return (await score_group(ready.composite, [sample, probe.beside(ready)], probe.name))[0]


def judge_case(probe: Probe, breakdown: RewardBreakdown) -> Finding:
    """Compare the reward of a case with its bounds."""
    values: dict[str, float | None] = {OVERALL: breakdown.total}
    values |= {name: part.value for name, part in breakdown.parts.items()}
    sentences = [
        _bound_problem(name, values[name], bound, is_attack=probe.is_attack)
        for name, bound in {OVERALL: float(probe.is_attack), **probe.bounds}.items()
        if name in values
    ]
    sentences += [
        _monitor_problem(name, values[name], is_attack=probe.is_attack) for name in probe.monitors if name in values
    ]
    return Finding(
        probe=probe,
        overall=breakdown.total,
        parts={name: part.value for name, part in breakdown.parts.items()},
        reasons={name: part.reason for name, part in breakdown.parts.items()},
        failure=breakdown.failure,
        broken=tuple(sentence for sentence in sentences if sentence),
        not_there=tuple(name for name in (*probe.bounds, *probe.monitors) if name not in values),
    )


def _bound_problem(name: str, value: float | None, bound: float, *, is_attack: bool) -> str | None:
    """A sentence if the bound is broken; a missing value breaks every bound."""
    word = "at most" if is_attack else "at least"
    if value is None:
        return f"{name} {'unscored' if name == OVERALL else 'says nothing'}, {word} {bound:g} expected"
    holds = value <= bound + TOLERANCE if is_attack else value >= bound - TOLERANCE
    return None if holds else f"{name} {value:.3f}, {word} {bound:g} expected"


def _monitor_problem(name: str, value: float | None, *, is_attack: bool) -> str | None:
    flagged = value is not None and value < 1.0 - TOLERANCE
    if flagged == is_attack:
        return None
    return f"{name} does not see it" if is_attack else f"{name} {value:.3f} is a false alarm"


def as_json(findings: Sequence[Finding], about: Mapping[str, object]) -> str:
    """The findings as JSON, ASCII only because replies may contain terminal escapes."""
    found = []
    for finding in findings:
        entry = asdict(finding)
        entry["probe"]["question"] = finding.probe.question.model_dump()
        entry["probe"]["reply"] = finding.probe.reply[:2000]
        found.append(entry)
    broken = sum(bool(finding.broken) for finding in findings)
    return json.dumps({**about, "cases": len(findings), "broken": broken, "findings": found}, indent=1)
