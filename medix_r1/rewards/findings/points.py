"""From findings that are entailed, contradicted or absent to a score: recall, precision and their harmonic mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medix_r1.errors import Problem

Status = Literal["entailed", "contradicted", "absent"]
Why = Literal["judge", "side", "negation", "size"]
COSTS: tuple[Why, ...] = ("judge", "side", "negation", "size")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of one report, held against the other report.

    Attributes:
        text: as it is written.
        status: what the other report says of it.
        why: who found the contradiction: the judge, or the rule for sides, negations or sizes.
        weight: how much it counts, above 0.
    """

    text: str
    status: Status
    why: Why | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Points:
    """Recall of the reference's findings, precision of the reply's, and their harmonic mean, each in [0, 1]."""

    recall: float
    precision: float

    @property
    def f1(self) -> float:
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


def points(wanted: Sequence[Finding], said: Sequence[Finding], costs: Mapping[Why, float], repeats: float) -> Points:
    """The score of a reply.

    Args:
        wanted: the reference's findings, held against the reply.
        said: the reply's findings, held against the reference.
        costs: `Why` → what a contradiction costs beyond what an absent finding does.
        repeats: entailed findings of the reply count at most this many times the entailed ones of the reference, so
            that saying one thing in many ways does not thin out what is wrong.
    """
    entailed = sum(one.status == "entailed" for one in wanted)
    return Points(_share(wanted, costs), _share(_capped(said, math.ceil(repeats * entailed)), costs))


def _capped(said: Sequence[Finding], most: int) -> list[Finding]:
    """The findings without the entailed ones that are too many: those of the least weight go first."""
    right = sorted((one for one in said if one.status == "entailed"), key=lambda one: -one.weight)
    return [one for one in said if one.status != "entailed"] + right[:most]


def _share(found: Sequence[Finding], costs: Mapping[Why, float]) -> float:
    earned = sum(one.weight for one in found if one.status == "entailed")
    lost = sum(one.weight * (1.0 + (costs[one.why] if one.why else 0.0)) for one in found if one.status != "entailed")
    return earned / (earned + lost) if earned else 0.0


def unlooked(text: str) -> Finding:
    """A finding behind the last one that is looked at: absent, so that padding costs and makes no calls."""
    return Finding(text, "absent")


def weighted(found: Sequence[Finding], weights: Sequence[float]) -> list[Finding]:
    """Findings with their weights."""
    return [replace(one, weight=weight) for one, weight in zip(found, weights, strict=True)]


def _is_cost(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def cost_problems(costs: object) -> list[Problem]:
    """Problems of `costs`: names that are none, and values that are no number from 0 on."""
    key = "costs"
    if not isinstance(costs, Mapping):
        return [Problem(key, "not-a-mapping", f"{costs!r} is no mapping from {', '.join(COSTS)} to numbers")]
    problems = []
    for name, value in costs.items():
        if name not in COSTS:
            problems.append(Problem(f"{key}.{name}", "no-such-key", f"no such cost; known: {', '.join(COSTS)}"))
        elif value is not None and not _is_cost(value):
            text = f"{value!r} is no number from 0 on; null does not look for such contradictions"
            problems.append(Problem(f"{key}.{name}", "out-of-range", text))
    return problems
