"""GDPO (arXiv 2601.05242): every reward part is normalised within its group before the parts are summed.

verl's own `gdpo` fails on its v1 trainer (medix_r1/training/verl_plugin/patches/reward_parts.py). It also whitens over
tokens, which gives long replies more weight, where the paper normalises over replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medix_r1.algorithms.estimators import RewardParts, estimator

EPSILON = 1e-6  # added to deviations, as in verl's GRPO


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


@estimator("medix_gdpo", needs_parts=True)
def compute_advantage(
    token_level_rewards: Any, response_mask: Any, index: np.ndarray, parts: RewardParts, **_: Any
) -> tuple[Any, Any]:
    """verl's estimator interface: (advantages, returns), tensors of shape (replies, response length)."""
    real = response_mask.any(dim=-1).cpu().numpy()
    scores = token_level_rewards.new_tensor(advantages(parts.values, parts.weights, np.asarray(index), real))
    per_token = scores.unsqueeze(-1) * response_mask
    return per_token, per_token
