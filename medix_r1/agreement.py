"""Agreement of two raters: share of equal ratings and Cohen's kappa, each with a confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of two raters on the same items.

    Attributes:
        categories: the categories, in the order of the table.
        table: confusion matrix of counts; rows are the first rater's categories, columns the second's.
        share: share of items with equal ratings, in [0, 1].
        share_interval: Wilson's score interval of `share`.
        kappa: Cohen's kappa in [-1, 1]; None (undefined) when both raters gave the same single category to all items.
        kappa_interval: from the large-sample standard error (Fleiss, Cohen and Everitt, 1969), clipped to [-1, 1]; None
            when that error is 0 (perfect agreement, or a rater with one category), where the formula does not hold.
        level: confidence level of both intervals.
    """

    categories: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]
    share: float
    share_interval: Interval
    kappa: float | None
    kappa_interval: Interval | None
    level: float

    @property
    def count(self) -> int:
        return sum(map(sum, self.table))


def agreement(
    first: Sequence[str], second: Sequence[str], *, categories: Sequence[str] | None = None, level: float = 0.95
) -> Agreement:
    """Compute the agreement of two raters. Items that one of them did not rate must be left out.

    Args:
        first: the first rater's category of each item.
        second: the second rater's, for the same items in the same order.
        categories: all categories, in the order of the table; by default those that occur, sorted.
        level: confidence level of the intervals, in (0, 1).

    Raises:
        ValueError: no items, lists of different lengths, a category that is not in `categories`, or a level outside
            (0, 1).
    """
    if not first or len(first) != len(second):
        raise ValueError(f"two raters' values of the same items are needed; there are {len(first)} and {len(second)}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level} is not between 0 and 1")
    names = tuple(categories) if categories is not None else tuple(sorted({*first, *second}))
    if strange := sorted({*first, *second} - set(names)):
        raise ValueError(f"no such category: {', '.join(strange)}; there are: {', '.join(names)}")
    return agreement_of_table(names, _count(first, second, names), level=level)


def agreement_of_table(categories: Sequence[str], table: Sequence[Sequence[int]], *, level: float = 0.95) -> Agreement:
    """The agreement of two raters whose ratings are counted already; not all counts may be 0.

    Args:
        categories: in the order of the table.
        table: counts; rows are the first rater's categories, columns the second's.
        level: confidence level of the intervals, in (0, 1).
    """
    counts = tuple(map(tuple, table))
    same, total = sum(counts[i][i] for i in range(len(counts))), sum(map(sum, counts))
    kappa, interval = _kappa(counts, level)
    return Agreement(
        categories=tuple(categories),
        table=counts,
        share=same / total,
        share_interval=share_interval(same, total, level=level),
        kappa=kappa,
        kappa_interval=interval,
        level=level,
    )


def share_interval(count: int, total: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share, at this confidence level in (0, 1); `total` is at least 1."""
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    low, high = proportion_confint(count, total, alpha=1.0 - level, method="wilson")
    return Interval(max(0.0, float(low)), min(1.0, float(high)))


def _count(first: Sequence[str], second: Sequence[str], names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    position = {name: index for index, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for one, other in zip(first, second, strict=True):
        counts[position[one]][position[other]] += 1
    return tuple(map(tuple, counts))


def _kappa(table: Sequence[Sequence[int]], level: float) -> tuple[float | None, Interval | None]:
    used = {i for i, row in enumerate(table) if any(row)} | {
        j for j in range(len(table)) if any(row[j] for row in table)
    }
    if len(used) < 2:
        return None, None
    import numpy as np
    from scipy.stats import norm
    from statsmodels.stats.inter_rater import cohens_kappa

    with np.errstate(invalid="ignore", divide="ignore"):  # from test statistics that are not used here
        found = cohens_kappa(table)
    kappa, error = float(found.kappa), math.sqrt(max(0.0, float(found.var_kappa)))
    if error < 1e-9:
        return kappa, None
    reach = float(norm.ppf(0.5 + level / 2.0)) * error
    return kappa, Interval(max(-1.0, kappa - reach), min(1.0, kappa + reach))
