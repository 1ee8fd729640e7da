"""GDPO (arXiv 2601.05242): every reward part is normalised within its group before the parts are summed.

verl's own `gdpo` fails on its v1 trainer (patches/gdpo_parts.py). It also whitens over tokens, which gives long replies
more weight, where the paper normalises over replies.

verl passes only total rewards to an estimator. So the trainer sets the parts around the call (`parts_of_batch`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from medix_r1.errors import TrainingError

NAME = "medix_gdpo"
EPSILON = 1e-6  # added to deviations, as in verl's GRPO


@dataclass(frozen=True, slots=True)
class RewardParts:
    """Reward parts in the batch's order (None where one does not apply), and their weights (`reward.weights`)."""

    values: Mapping[str, Sequence[float | None]]
    weights: Mapping[str, float]


_parts: ContextVar[RewardParts | None] = ContextVar("gdpo_parts", default=None)


@contextmanager
def parts_of_batch(parts: RewardParts) -> Iterator[None]:
    """Make the parts of a batch available to `compute_advantage` within the block."""
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)


def advantages(
    parts: Mapping[str, np.ndarray], weights: Mapping[str, float], groups: np.ndarray, real: np.ndarray
) -> np.ndarray:
    """Advantages, shape (replies,): parts normalised per group, weighted, summed, then normalised over the batch.

    Args:
        parts: name → values of shape (replies,); NaN where a part does not apply. Such a reply is left out of the
            part's mean and deviation, and the part adds 0 to it.
        weights: name → weight of a part; parts of weight 0 (monitors) are left out.
        groups: name of the group, shape (replies,).
        real: False for padding rows, shape (replies,); they get 0 and are left out of the batch's statistics.

    Both deviations are sample standard deviations (n - 1), as in verl's GRPO. Fewer than two values, or equal ones,
    give 0.
    """
    total = np.zeros(len(groups))
    for name, weight in weights.items():
        if weight:
            total += weight * _normalised_in_groups(parts[name], groups)
    kept = total[real]
    if len(kept) < 2:
        return np.zeros(len(groups))
    return np.where(real, (total - kept.mean()) / (kept.std(ddof=1) + EPSILON), 0.0)


def _normalised_in_groups(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    result = np.zeros(len(values))
    for group in np.unique(groups):
        rows = (groups == group) & ~np.isnan(values)
        if rows.sum() > 1:
            result[rows] = (values[rows] - values[rows].mean()) / (values[rows].std(ddof=1) + EPSILON)
    return result


def compute_advantage(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: np.ndarray, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """verl's estimator interface: (advantages, returns), both of shape (replies, response length).

    Raises:
        TrainingError: not called by one of our trainers.
    """
    parts = _parts.get()
    if parts is None:
        raise TrainingError(
            f"algorithm.adv_estimator={NAME} needs one of our trainers: trainer=sync", code="not-our-trainer"
        )
    columns = {name: np.array(column, dtype=np.float64) for name, column in parts.values.items()}  # None becomes NaN
    real = response_mask.any(dim=-1).cpu().numpy()
    scores = torch.tensor(advantages(columns, parts.weights, np.asarray(index), real)).to(token_level_rewards)
    per_token = scores.unsqueeze(-1) * response_mask
    return per_token, per_token


def register() -> None:
    """Make the estimator known to verl as `algorithm.adv_estimator=medix_gdpo`; safe to call again."""
    register_adv_est(NAME)(compute_advantage)
