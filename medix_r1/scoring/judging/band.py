"""Chooses the band of a cascade on rated pairs, and says what it gives on others."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from medix_r1.agreement import Agreement, agreement
from medix_r1.scoring.judging.kinds import Rated

SHARES = tuple(step / 20 for step in range(11))  # of strong calls, 0 to 1/2
_STEP = 0.01  # between the shares that `smallest_share` tries
_SEED = 1
_EDGE = 1e-9  # probabilities nearer to 0 or 1 are taken for this, so that they have log-odds


@dataclass(frozen=True, slots=True)
class Band:
    """Below `low` the small judge's P(YES) means NO, above `high` YES; what lies between goes to the strong judge."""

    low: float
    high: float

    def says(self, row: Rated) -> bool | None:
        """The small judge's verdict; None inside the band."""
        return None if self.low <= row.first <= self.high else row.first > self.high


@dataclass(frozen=True, slots=True)
class Point:
    """What a band gives on pairs that it was not chosen on.

    Attributes:
        wanted: share of strong calls that it was chosen for.
        band: the band.
        share: share of strong calls on these pairs, in [0, 1].
        agreement: of the cascade's verdicts with the strong judge's.
    """

    wanted: float
    band: Band
    share: float
    agreement: Agreement


def choose(rows: Sequence[Rated], share: float) -> Band:
    """The band with the fewest errors outside it, among those that hold at most a share of the rows.

    All bands of one share are looked at, also those beside 1/2: they move the small judge's limit, too. Its ends lie
    halfway, in log-odds, between the probabilities inside and the next ones outside.

    Args:
        rows: rated rows, at least one; `first` is the small judge's P(YES), the second side the strong judge.
        share: of the rows, in [0, 1).
    """
    ordered = sorted(rows, key=lambda row: row.first)
    groups = [(value, list(same)) for value, same in groupby(ordered, key=lambda row: row.first)]
    values = [value for value, _ in groups]
    sizes = np.array([len(same) for _, same in groups])
    right = np.array([sum(row.is_right for row in same) for _, same in groups])
    before = np.concatenate([[0], np.cumsum(sizes)])  # rows before each group
    refused = np.concatenate([[0], np.cumsum(right)])  # right answers before it: errors if all before are NO
    accepted = np.concatenate([[0], np.cumsum(sizes - right)])
    accepted = accepted[-1] - accepted  # wrong answers from each group on: errors if all of them are YES
    most = math.floor(share * len(ordered) + 1e-9)
    # For each first group of the band, the one after its last; an empty band begins and ends at the same group.
    ends = np.searchsorted(before, before + most, side="right") - 1
    errors = refused + accepted[ends]
    best = np.flatnonzero(errors == errors.min())
    start = int(best[len(best) // 2])  # of equally good ones, one from the middle
    end = int(ends[start])
    if start == end:
        limit = _between(values, start)
        return Band(limit, limit)
    return Band(_between(values, start), _between(values, end))


def _between(values: Sequence[float], position: int) -> float:
    """A limit before the value at this position: 0 before the first, 1 behind the last."""
    if position == 0:
        return 0.0
    if position == len(values):
        return 1.0
    low, high = (min(max(value, _EDGE), 1 - _EDGE) for value in (values[position - 1], values[position]))
    odds = (math.log(low / (1 - low)) + math.log(high / (1 - high))) / 2
    return float(f"{1 / (1 + math.exp(-odds)):.6g}")


def measure(rows: Sequence[Rated], band: Band, wanted: float) -> Point:
    """What a band gives on these rows, at least one."""
    said = [band.says(row) for row in rows]
    names = [
        ["YES" if one else "NO" for one in side]
        for side in ([row.is_right if one is None else one for row, one in zip(rows, said, strict=True)], _truth(rows))
    ]
    share = sum(one is None for one in said) / len(rows)
    return Point(wanted, band, share, agreement(*names, categories=("YES", "NO")))


def curve(chosen_on: Sequence[Rated], measured_on: Sequence[Rated]) -> list[Point]:
    """A point for each of `SHARES`."""
    return [measure(measured_on, choose(chosen_on, share), share) for share in SHARES]


def alone(rows: Sequence[Rated]) -> Agreement:
    """The small judge's agreement, at a probability of 1/2, with the strong one."""
    names = [["YES" if one else "NO" for one in side] for side in ([row.says_yes for row in rows], _truth(rows))]
    return agreement(*names, categories=("YES", "NO"))


def smallest_share(rows: Sequence[Rated], wanted: float) -> float | None:
    """The smallest share, in steps of 1 %, whose band agrees with at least `wanted` of these rows; None below 1."""
    for step in range(100):
        point = measure(rows, choose(rows, step * _STEP), step * _STEP)
        if point.agreement.share >= wanted:
            return step * _STEP
    return None


def halves(rows: Sequence[Rated]) -> tuple[list[Rated], list[Rated]]:
    """The rows by random halves of their questions, so that no question is in both."""
    questions = sorted({row.question for row in rows})
    random.Random(_SEED).shuffle(questions)
    first = set(questions[: len(questions) // 2])
    return [row for row in rows if row.question in first], [row for row in rows if row.question not in first]


def _truth(rows: Sequence[Rated]) -> list[bool]:
    return [row.is_right for row in rows]
