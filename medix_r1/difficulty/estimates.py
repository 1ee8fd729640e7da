"""What k replies a row say of larger and smaller groups: accuracy, pass@k, and groups that would teach something.

For c right ones of k replies, where right is a value of at least 0.5:

- pass@n, the probability that one of n is right, for n ≤ k: 1 - C(k - c, n)/C(k, n), which is unbiased (arXiv
  2107.03374);
- a group of n teaches nothing if all its values are equal. With c_v replies of value v the probability is, for n ≤ k,
  the sum over v of C(c_v, n)/C(k, n), unbiased as well. For n > k it is the mean of the sum of q_v^n over the
  posterior of the row's q with Jeffreys' prior, Dirichlet(c_v + 1/2), which is an extrapolation, and marked so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import gammaln

from medix_r1.agreement import Interval

GROUP_SIZES = (5, 8, 16)
_DECIMALS = 6  # of values that count as equal
_Z = 1.959963984540054  # of a two-sided interval of 95 %


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over rows with its interval of 95 %; rows are taken as independent. None with a single row."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a set of rows promises.

    Attributes:
        rows: number of rows.
        accuracy: share of right replies.
        passes: n → pass@n, for powers of two up to k.
        teaches: n → share of groups of n with different values.
        extrapolated: the sizes among them that are larger than k.
        tokens: mean tokens of a reply; None where the server does not say.
        cut: share of replies that were cut at the length limit.
    """

    rows: int
    accuracy: Mean
    passes: dict[int, Mean]
    teaches: dict[int, Mean]
    extrapolated: tuple[int, ...]
    tokens: float | None
    cut: float


def pass_at(n: int, right: int, k: int) -> float:
    """Probability that at least one of n replies is right."""
    return 1.0 - math.comb(k - right, n) / math.comb(k, n)


def alike(n: int, values: Sequence[float]) -> float:
    """Probability that a group of n replies has equal values, from those of k replies."""
    counts = list(Counter(round(value, _DECIMALS) for value in values).values())
    k = len(values)
    if n <= k:
        return sum(math.comb(count, n) for count in counts) / math.comb(k, n)
    shapes = [count + 0.5 for count in (*counts, *([0] if len(counts) == 1 else []))]  # another value might come
    total = sum(shapes)
    logs = [gammaln(total) + gammaln(one + n) - gammaln(total + n) - gammaln(one) for one in shapes]
    return math.fsum(math.exp(one) for one in logs)


def estimates(
    values: Sequence[Sequence[float]], tokens: Sequence[float] = (), cut: int = 0, sizes: Sequence[int] = GROUP_SIZES
) -> Estimates:
    """Estimate from the values of each row's replies.

    Args:
        values: of each row at least one value.
        tokens: mean of a reply of each row, as far as they are known.
        cut: number of replies that were cut.
        sizes: group sizes to look at.
    """
    counts = [(sum(value >= 0.5 for value in row), len(row)) for row in values]
    smallest = min(k for _, k in counts)
    powers = [2**i for i in range(smallest.bit_length()) if 2**i <= smallest]
    return Estimates(
        rows=len(counts),
        accuracy=_mean([right / k for right, k in counts]),
        passes={n: _mean([pass_at(n, right, k) for right, k in counts]) for n in powers},
        teaches={n: _mean([1.0 - alike(n, row) for row in values]) for n in sizes},
        extrapolated=tuple(n for n in sizes if n > smallest),
        tokens=sum(tokens) / len(tokens) if tokens else None,
        cut=cut / sum(k for _, k in counts),
    )


def _mean(values: Sequence[float]) -> Mean:
    count = len(values)
    value = math.fsum(values) / count
    if count < 2:
        return Mean(value, None)
    error = math.sqrt(math.fsum((one - value) ** 2 for one in values) / (count - 1) / count)
    return Mean(value, Interval(max(0.0, value - _Z * error), min(1.0, value + _Z * error)))
