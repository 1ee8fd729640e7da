"""The gap between the best and the worst group, corrected for their number, and how it changes between two results.

The gap's interval is that of Games and Howell (1976), which holds for all pairs of groups at once, so that choosing the
best and the worst costs nothing: variances are of whole clusters and may differ between groups, and two clusters, one
all right and one all wrong, are added to each group as Agresti and Caffo (2000) do, so that few samples or equal scores
give no interval of zero width. A change is resampled by whole clusters, with the best and the worst of each draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medix_r1.agreement import Interval
from medix_r1.evaluation.results.statistics import LEVEL, SEED, Difference, Estimate

RESAMPLES = 1999
_CELLS = 2_000_000  # numbers in memory at a time while resampling
_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gap:
    """Best minus worst group.

    Attributes:
        best, worst: their names.
        difference: of their means; its interval and p-value hold for the choice among all groups.
        p_holm: p corrected for the number of columns that were looked at, where there are several.
    """

    best: str
    worst: str
    difference: Difference
    p_holm: float | None = None


def gap(values: Sequence[float], names: Sequence[str], clusters: Sequence[str]) -> Gap:
    """The gap between groups.

    Args:
        values: one number for each sample, in [0, 1].
        names: the group of each sample; two different ones at least.
        clusters: the cluster of each sample.
    """
    table = _Cells.of(names, clusters, values)
    means = table.means(table.sums[0])
    best = int(np.argmax(means))
    worst = len(means) - 1 - int(np.argmin(means[::-1]))  # another one than the best also where all are equal
    found = float(means[best] - means[worst])
    spreads = [_spread(table.sums[0][:, group], table.counts[:, group]) for group in (best, worst)]
    interval, p = _games_howell(spreads[0], spreads[1], len(table.names))
    samples = sum(name in (table.names[best], table.names[worst]) for name in names)
    count = int((table.counts[:, [best, worst]] > 0).any(axis=1).sum())
    difference = Difference(Estimate(found, interval, samples, count), p)
    return Gap(table.names[best], table.names[worst], difference)


def gap_change(
    first: Sequence[float], second: Sequence[float], names: Sequence[str], clusters: Sequence[str]
) -> Difference:
    """How the gap changes from the first to the second result on the same samples; negative is a smaller gap.

    The p-value is of random swaps of the two results in whole clusters.
    """
    table = _Cells.of(names, clusters, first, second)
    ours, theirs = table.sums
    found = _width(table.means(theirs)) - _width(table.means(ours))
    count = len(table.counts)
    if count < 2:
        return Difference(Estimate(float(found), None, len(names), count, "no interval: one cluster"), None)
    rng, whole = np.random.default_rng(SEED), table.counts.sum(axis=0)
    drawn, swapped = [], []
    for size in _batches(count):
        weights = rng.multinomial(count, np.full(count, 1.0 / count), size).astype(float)
        counts = weights @ table.counts
        drawn.append(_width(_ratio(weights @ theirs, counts)) - _width(_ratio(weights @ ours, counts)))
        swap = rng.random((size, count)) < 0.5
        one, other = ~swap @ ours + swap @ theirs, swap @ ours + ~swap @ theirs
        swapped.append(_width(_ratio(other, whole)) - _width(_ratio(one, whole)))
    changes = np.concatenate(drawn)
    low, high = np.nanquantile(changes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    as_large = np.abs(np.concatenate(swapped)) >= abs(found) - 1e-12
    p = (1.0 + float(as_large.sum())) / (1.0 + len(as_large))
    note = "no interval: no draw differs" if low == high else ""
    interval = None if note else Interval(float(low), float(high))
    return Difference(Estimate(float(found), interval, len(names), count, note), p)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Sums of each result, and counts, by cluster (rows) and group (columns)."""

    names: tuple[str, ...]
    sums: tuple[_Array, ...]
    counts: _Array

    @classmethod
    def of(cls, names: Sequence[str], clusters: Sequence[str], *values: Sequence[float]) -> _Cells:
        kinds, columns = np.unique(np.asarray(names, dtype=object), return_inverse=True)
        units, rows = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
        counts = np.zeros((len(units), len(kinds)))
        np.add.at(counts, (rows, columns), 1.0)
        sums = []
        for each in values:
            total = np.zeros_like(counts)
            np.add.at(total, (rows, columns), np.asarray(each, dtype=float))
            sums.append(total)
        return cls(tuple(map(str, kinds)), tuple(sums), counts)

    def means(self, sums: _Array) -> _Array:
        """Mean of each group of one result."""
        return _ratio(sums.sum(axis=0), self.counts.sum(axis=0))


@dataclass(frozen=True, slots=True)
class _Spread:
    """Mean and variance of a group's mean over its clusters, with the two added ones; degrees of freedom."""

    mean: float
    variance: float
    freedom: int


def _spread(sums: _Array, counts: _Array) -> _Spread:
    there = counts > 0
    size = float(counts[there].mean())
    totals, sizes = np.append(sums[there], [size, 0.0]), np.append(counts[there], [size, size])
    mean = totals.sum() / sizes.sum()
    deviations = (totals - mean * sizes) / sizes.sum()
    units = len(sizes)
    return _Spread(float(mean), float((deviations**2).sum() * units / (units - 1)), units - 1)


def _games_howell(best: _Spread, worst: _Spread, groups: int) -> tuple[Interval, float]:
    from scipy.stats import studentized_range

    variance = best.variance + worst.variance
    freedom = variance**2 / (best.variance**2 / best.freedom + worst.variance**2 / worst.freedom)
    error, middle = math.sqrt(variance / 2.0), best.mean - worst.mean
    reach = float(studentized_range.ppf(LEVEL, groups, freedom)) * error
    p = float(studentized_range.sf(abs(middle) / error, groups, freedom))
    return Interval(max(-1.0, middle - reach), min(1.0, middle + reach)), min(1.0, p)


def _width(means: _Array) -> _Array:
    """Best minus worst; groups that a draw does not hold are left out."""
    found: _Array = np.nanmax(means, axis=-1) - np.nanmin(means, axis=-1)
    return found


def _ratio(sums: _Array, counts: _Array) -> _Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: _Array = np.where(counts > 0, sums / counts, np.nan)
    return found


def _batches(width: int) -> Sequence[int]:
    size = max(1, min(RESAMPLES, _CELLS // width))
    return [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
