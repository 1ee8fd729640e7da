"""How far two raters agree beyond chance: Cohen's kappa with an interval, for judges, labels and people alike."""

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
    """What two raters said about the same items.

    Attributes:
        categories: the values that were given, in the order of the table.
        table: counts; the first rater's category picks the row, the second rater's the column.
        share: items on which both say the same, in [0, 1].
        share_interval: Wilson's score interval of `share`.
        kappa: Cohen's kappa in [-1, 1]; None when chance agreement is 1, because both gave one and the same category
            everywhere and there is nothing to correct for.
        kappa_interval: from the large-sample standard error (Fleiss, Cohen and Everitt, 1969), cut to [-1, 1]; None
            when that error is 0 (perfect agreement, or a rater with one category): the formula says nothing there.
        level: of both intervals.
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
    """Compare two raters item by item; whoever gave no value to an item must leave it out before.

    Args:
        first: the first rater's categories.
        second: the second rater's, in the same order.
        categories: all categories and their order; by default those that occur, sorted.
        level: of the intervals, in (0, 1).

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
    table = _count(first, second, names)

    from statsmodels.stats.proportion import proportion_confint  # seconds to import: not before it is needed

    same = sum(table[i][i] for i in range(len(names)))
    low, high = proportion_confint(same, len(first), alpha=1.0 - level, method="wilson")
    kappa, interval = _kappa(table, level)
    return Agreement(
        categories=names,
        table=table,
        share=same / len(first),
        share_interval=Interval(max(0.0, float(low)), min(1.0, float(high))),
        kappa=kappa,
        kappa_interval=interval,
        level=level,
    )


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

    with np.errstate(invalid="ignore", divide="ignore"):  # it also computes tests that we do not read
        found = cohens_kappa(table)
    kappa, error = float(found.kappa), math.sqrt(max(0.0, float(found.var_kappa)))
    if error < 1e-9:
        return kappa, None
    reach = float(norm.ppf(0.5 + level / 2.0)) * error
    return kappa, Interval(max(-1.0, kappa - reach), min(1.0, kappa + reach))
