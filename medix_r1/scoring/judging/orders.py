"""What a judge's errors do to the order of a group, simulated with the errors that were measured.

Groups are drawn from the audited rows: an answer is right with a given probability, and gets what the judge said of a
random right or wrong row. Errors of one group are drawn independently; answers to one question may err together,
which the simulation does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medix_r1.agreement import Interval
from medix_r1.scoring.judging.kinds import Rated

RIGHT_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
_GROUPS = 20_000  # of each share
_RESAMPLES, _RESAMPLED_GROUPS = 200, 2_000
_SEED = 1

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Order:
    """Groups of a policy that is right in a share of its answers; all numbers but `kept` are in [0, 1].

    Attributes:
        right_share: that share.
        size: answers of a group.
        in_order, tied, reversed: of the pairs of a right and a wrong answer in one group, how the judge puts them.
        noise: of the groups to which the judge gives different values, those whose answers are all right or all wrong.
        wrong_way: of the same groups, those in which wrong answers have the larger advantage.
        kept: the expected push of advantages (GRPO: normalised in the group) towards right answers, relative to that of
            a judge without errors; 1 is all of it, and below 0 training goes backwards.
        kept_interval: 95 % interval by a Bayesian bootstrap of the rows.
    """

    right_share: float
    size: int
    in_order: float
    tied: float
    reversed: float
    noise: float
    wrong_way: float
    kept: float
    kept_interval: Interval


def simulate(rated: Sequence[Rated], size: int) -> list[Order]:
    """Simulate groups of `size` answers for each of `RIGHT_SHARES`; empty where no row is right, or none is wrong."""
    right = np.array([row.first for row in rated if row.is_right])
    wrong = np.array([row.first for row in rated if not row.is_right])
    if not len(right) or not len(wrong):
        return []
    return [_simulate(right, wrong, share, size) for share in RIGHT_SHARES]


def _simulate(right: Values, wrong: Values, share: float, size: int) -> Order:
    chance = np.random.default_rng(_SEED)
    truth = chance.random((_GROUPS, size)) < share
    values = np.where(truth, chance.choice(right, truth.shape), chance.choice(wrong, truth.shape))
    pairs = truth[:, :, None] & ~truth[:, None, :]  # the first is right, the second wrong
    above = (values[:, :, None] - values[:, None, :])[pairs]
    spread = values.max(axis=1) > values.min(axis=1)
    mixed = truth.any(axis=1) & ~truth.all(axis=1)
    push = _push(values, truth)
    teaching = max(1, int(spread.sum()))
    kept = [_resampled(chance, right, wrong, share, size) for _ in range(_RESAMPLES)]
    low, high = np.percentile(kept, (2.5, 97.5))
    return Order(
        right_share=share,
        size=size,
        in_order=float((above > 0).mean()) if len(above) else 0.0,
        tied=float((above == 0).mean()) if len(above) else 0.0,
        reversed=float((above < 0).mean()) if len(above) else 0.0,
        noise=float((spread & ~mixed).sum() / teaching),
        wrong_way=float((spread & mixed & (push < -1e-12)).sum() / teaching),
        kept=_kept(values, truth),
        kept_interval=Interval(float(low), float(high)),
    )


def _resampled(chance: np.random.Generator, right: Values, wrong: Values, share: float, size: int) -> float:
    """`kept` with random weights of the rows; half a row of each verdict stands for errors that were not seen yet."""
    truth = chance.random((_RESAMPLED_GROUPS, size)) < share
    yes, no = (_weighted(chance, rows, truth.size).reshape(truth.shape) for rows in (right, wrong))
    values: Values = np.where(truth, yes, no)
    return _kept(values, truth)


def _weighted(chance: np.random.Generator, rows: Values, count: int) -> Values:
    weights = chance.dirichlet([*np.ones(len(rows)), 0.5, 0.5])
    drawn: Values = chance.choice(np.append(rows, [0.0, 1.0]), count, p=weights)
    return drawn


def _kept(values: Values, truth: Flags) -> float:
    """The push towards right answers, over that of the true values; 0 where no group has both kinds."""
    best = _push(truth.astype(np.float64), truth).sum()
    return float(_push(values, truth).sum() / best) if best else 0.0


def _push(values: Values, truth: Flags) -> Values:
    """Of each group, the mean over its answers of advantage times being right."""
    deviations = values - values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)
    advantages = np.divide(deviations, spread, out=np.zeros_like(deviations), where=spread > 1e-9)
    pushes: Values = (advantages * truth).mean(axis=1)
    return pushes
