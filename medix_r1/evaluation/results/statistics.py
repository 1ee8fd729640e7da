"""Means with cluster-bootstrap confidence intervals, and paired differences with permutation p-values.

Questions on the same image or passage are correlated, so whole clusters are resampled, never single samples. scipy and
statsmodels do the numerics; this file defines the clusters, the strata and the averages.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medix_r1.agreement import Interval

LEVEL = 0.95
RESAMPLES = 9999
FEW = 20  # clusters; with fewer, intervals cover the truth less often than LEVEL (benchmarks/interval_coverage.py)
SEED = 1  # of resampling: the same records always give the same interval
# Notes on an estimate without an interval.
NOTHING_SCORED = "no scored sample"
ONE_CLUSTER = "no interval: one cluster"
ONE_CLUSTER_A_TASK = "no interval: one cluster a task"
ALL_ALIKE = "no interval: no cluster differs from the others"

_CELLS = 2_000_000  # numbers in memory at a time while resampling; 16 MB
_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes:
        value: the mean; None when there is no sample.
        interval: at confidence level `LEVEL`; None when the data do not give one.
        samples: number of values averaged.
        clusters: number of independent groups among them.
        note: why there is no interval, or what limits it; else empty.
    """

    value: float | None
    interval: Interval | None
    samples: int
    clusters: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference: second minus first.

    Attributes:
        estimate: the mean difference over the pairs.
        p: two-sided; None when there are fewer than two clusters.
    """

    estimate: Estimate
    p: float | None


def mean(
    values: Sequence[float], groups: Sequence[str], tasks: Sequence[str] | None = None, *, resamples: int = RESAMPLES
) -> Estimate:
    """Mean with a cluster-bootstrap interval (bias-corrected and accelerated, BCa; Efron 1987).

    Args:
        values: one number for each sample.
        groups: the cluster of each sample.
        tasks: the task of each sample. With tasks the value is the mean of the tasks' means (macro average), without
            them the mean over samples (micro average).
        resamples: number of bootstrap resamples.

    The bootstrap is stratified: a cluster is drawn with all its samples, among the clusters that occur in the same
    tasks. So every resample has samples of every task, and tasks that share images stay correlated.
    """
    if not values:
        return Estimate(None, None, 0, 0, NOTHING_SCORED)
    table = _Table.of(values, groups, tasks)
    value = float(table.statistic()())
    if table.clusters < 2:
        return Estimate(value, None, len(values), table.clusters, ONE_CLUSTER)
    interval, note = _interval(table, resamples)
    return Estimate(value, interval, len(values), table.clusters, note)


def paired(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[str],
    tasks: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
) -> Difference:
    """Paired difference, second minus first, on the same samples; clusters and averages as in `mean`.

    The p-value is that of a permutation test that swaps the two results in whole clusters: exact when few clusters
    differ, with `resamples` random permutations otherwise. For 0/1 scores and clusters of one sample it is McNemar's
    exact test.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    estimate = mean(differences, groups, tasks, resamples=resamples)
    if estimate.clusters < 2:
        return Difference(estimate, None)
    return Difference(estimate, _permutation_p(_Table.of(differences, groups, tasks).contributions(), resamples))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for multiple comparisons (Holm 1979); None stays None and is not counted as a test."""
    from statsmodels.stats.multitest import multipletests  # a second to import

    known = [p for p in p_values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1]) if known else iter(())
    return [None if p is None else float(next(corrected)) for p in p_values]


def share(count: int, total: int) -> Estimate:
    """A proportion of independent cases with the Wilson score interval (1927), also defined for 0 % and 100 %."""
    from scipy.stats import binomtest

    if not total:
        return Estimate(None, None, 0, 0, "no case")
    found = binomtest(count, total).proportion_ci(LEVEL, method="wilson")
    return Estimate(count / total, Interval(float(found.low), float(found.high)), total, total)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Clusters that occur in exactly the same tasks: sums and counts, one array for each task."""

    columns: tuple[int, ...]
    totals: tuple[_Array, ...]
    counts: tuple[_Array, ...]

    def __len__(self) -> int:
        return len(self.counts[0])


@dataclass(frozen=True, slots=True)
class _Table:
    """Sums and counts by cluster (rows) and task (columns)."""

    totals: _Array
    counts: _Array

    @classmethod
    def of(cls, values: Sequence[float], groups: Sequence[str], tasks: Sequence[str] | None) -> _Table:
        names, rows = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
        kinds, columns = np.unique(np.asarray(tasks or [""] * len(values), dtype=object), return_inverse=True)
        totals, counts = np.zeros((len(names), len(kinds))), np.zeros((len(names), len(kinds)))
        np.add.at(totals, (rows, columns), np.asarray(values, dtype=float))
        np.add.at(counts, (rows, columns), 1.0)
        return cls(totals, counts)

    @property
    def clusters(self) -> int:
        return len(self.counts)

    def strata(self) -> list[_Stratum]:
        kinds, members = np.unique(self.counts > 0, axis=0, return_inverse=True)
        found = []
        for index, kind in enumerate(kinds):
            rows, columns = members == index, tuple(int(column) for column in np.flatnonzero(kind))
            found.append(
                _Stratum(
                    columns,
                    tuple(self.totals[rows, column] for column in columns),
                    tuple(self.counts[rows, column] for column in columns),
                )
            )
        return found

    def statistic(self, drawn: Sequence[_Stratum] = ()) -> Any:
        """A function that computes the mean of the tasks' means from one index array for each resampled stratum."""
        kinds = {stratum.columns for stratum in drawn}
        fixed = [stratum for stratum in self.strata() if stratum.columns not in kinds]
        tasks = self.counts.shape[1]

        def value(*chosen: NDArray[np.intp], axis: int = -1) -> Any:
            totals: list[Any] = [0.0] * tasks
            counts: list[Any] = [0.0] * tasks
            for stratum, index in [*((s, np.arange(len(s))) for s in fixed), *zip(drawn, chosen, strict=True)]:
                for column, total, count in zip(stratum.columns, stratum.totals, stratum.counts, strict=True):
                    totals[column] = totals[column] + total[index].sum(axis=axis)
                    counts[column] = counts[column] + count[index].sum(axis=axis)
            return sum(total / count for total, count in zip(totals, counts, strict=True)) / tasks

        return value

    def contributions(self) -> _Array:
        """Each cluster's additive share of the statistic, shape (clusters,)."""
        found: _Array = (self.totals / self.counts.sum(axis=0)).sum(axis=1) / self.counts.shape[1]
        return found


def _interval(table: _Table, resamples: int) -> tuple[Interval | None, str]:
    from scipy.stats import bootstrap

    drawn = [stratum for stratum in table.strata() if len(stratum) > 1]  # a stratum of one cluster cannot vary
    if not drawn:
        return None, ONE_CLUSTER_A_TASK
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the note says what scipy would warn of
        found = bootstrap(
            tuple(np.arange(len(stratum)) for stratum in drawn),
            table.statistic(drawn),
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, _CELLS // table.clusters),
            confidence_level=LEVEL,
            method="BCa",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    if math.isnan(low) or math.isnan(high):
        return None, ALL_ALIKE
    fixed = sum(len(stratum) == 1 for stratum in table.strata())
    notes = [f"{fixed} cluster(s) could only be drawn as they are"] * bool(fixed)
    notes += [f"only {table.clusters} clusters, so the interval is too narrow"] * (table.clusters < FEW)
    return Interval(low, high), "; ".join(notes)


def _permutation_p(contributions: _Array, resamples: int) -> float:
    from scipy.stats import permutation_test

    differing = contributions[np.abs(contributions) > 1e-12]  # swapping the others changes nothing
    if not len(differing):
        return 1.0
    if len(differing) == 1:  # a swap only changes the sign
        return 1.0
    scaled = differing / np.abs(differing).max()
    found = permutation_test(
        (scaled, np.zeros_like(scaled)),
        lambda a, b, axis: (a - b).sum(axis=axis).round(9),  # equal sums must compare equal
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _CELLS // len(differing)),
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)
