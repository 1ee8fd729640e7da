"""An advantage estimator that needs them gets the parts of the reward.

Upstream: verl 0.9.1 has an estimator `gdpo`, which cannot work on its v1 trainer: `PPOTrainer._compute_advantage`
fetches neither `prompts` nor the parts of the reward from TransferQueue, so it ends with KeyError 'prompts'. An
estimator registered by a plug-in fares no better: it gets only total rewards.

See it: docs/upstream/gdpo.py

Here: for an estimator that says so (medix_r1/algorithms), the parts are read before the advantages are computed and
held ready around the call. GDPO of ours is one.

Goes when: the script says that advantages are computed; then verl's estimator can be compared with ours, which whitens
over replies, as the paper does, where verl's whitens over tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medix_r1.algorithms.estimators import RewardParts, needs_parts, parts_of_batch
from medix_r1.training.verl_plugin.rollouts import read_rollouts

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class _Base(PPOTrainer):
        """verl's class, for the type checker alone; at run time it comes after ours in each trainer."""
else:
    _Base = object


class PartsForEstimators(_Base):
    """Mix-in for verl's trainer that passes the reward parts to estimators that need them; goes before verl's class."""

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if not needs_parts(self.config.algorithm.adv_estimator):
            return super()._compute_advantage(batch, metrics)
        rollouts = read_rollouts(batch.keys, batch.tags, batch.partition_id)
        weights = {name: float(weight) for name, weight in self.config.reward.weights.items() if weight}
        values = {  # None becomes NaN
            name: np.array([one.parts[name] for one in rollouts], dtype=np.float64) for name in rollouts[0].parts
        }
        with parts_of_batch(RewardParts(values, weights)):
            return super()._compute_advantage(batch, metrics)
