"""A small batch as the trainer sees it, and verl's own functions fed with our composed algorithm files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from omegaconf import DictConfig

from tests.support import configs

GROUPS = {"a": 5, "b": 5, "c": 2, "d": 3}  # c and d have lost members that could not be judged
PADDING = 3  # rows that verl adds in their place
PROMPT = 2  # tokens


def composed(algorithm: str) -> DictConfig:
    """The nano experiment with this algorithm."""
    return configs.composed("experiment=nano_cpu", f"algorithm={algorithm}")


@dataclass(frozen=True)
class Batch:
    """Padded columns of shape (replies, longest reply); `mask` is 0 on padding, `real` False on rows of padding."""

    groups: np.ndarray
    real: np.ndarray
    mask: np.ndarray
    reward: np.ndarray  # (replies,)
    old_log_probs: np.ndarray
    log_probs: np.ndarray
    ref_log_probs: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each reply, 1 for padding (verl's padding has one masked token)."""
        return np.maximum(self.mask.sum(axis=1), 1).astype(int)


def make_batch(seed: int = 0, ratio_spread: float = 0.4) -> Batch:
    """Return 15 real replies in four groups and 3 rows of padding."""
    rng = np.random.default_rng(seed)
    groups = np.array([name for name, size in GROUPS.items() for _ in range(size)] + ["pad0"] * PADDING, dtype=object)
    real = np.array([not name.startswith("pad") for name in groups])
    width = 9
    lengths = np.where(real, rng.integers(1, width + 1, size=len(groups)), 0)
    lengths[0] = width
    mask = (np.arange(width)[None, :] < lengths[:, None]).astype(float)
    reward = np.where(real, rng.uniform(0, 1, len(groups)), 0.0)
    reward[5:10] = 0.145  # one group of equal rewards
    old = rng.uniform(-3, -0.01, mask.shape) * mask
    return Batch(
        groups=groups,
        real=real,
        mask=mask,
        reward=reward,
        old_log_probs=old,
        log_probs=(old + rng.normal(0, ratio_spread, mask.shape)) * mask,
        ref_log_probs=(old + rng.normal(0, 0.3, mask.shape)) * mask,
    )


def verl_advantages(algorithm: str, batch: Batch) -> np.ndarray:
    """`advantages_by` with the settings of one of our files."""
    return advantages_by(composed(algorithm).algorithm, batch)


def advantages_by(settings: DictConfig, batch: Batch) -> np.ndarray:
    """What verl's v1 trainer computes with this node `algorithm` (trainer_base.PPOTrainer._compute_advantage)."""
    from verl.protocol import DataProto
    from verl.trainer.ppo.core_algos import get_kl_controller
    from verl.trainer.ppo.ray_trainer import apply_kl_penalty
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    scores = np.zeros_like(batch.mask)
    scores[np.arange(len(batch.reward)), batch.lengths - 1] = batch.reward
    data = DataProto.from_dict(
        tensors={
            "response_mask": torch.tensor(batch.mask).long(),
            "token_level_scores": torch.tensor(scores, dtype=torch.float32),
            "token_level_rewards": torch.tensor(scores, dtype=torch.float32),
            "old_log_probs": torch.tensor(batch.old_log_probs, dtype=torch.float32),
            "ref_log_prob": torch.tensor(batch.ref_log_probs, dtype=torch.float32),
        },
        non_tensors={"uid": batch.groups},
    )
    if settings.use_kl_in_reward:
        data, _ = apply_kl_penalty(data, get_kl_controller(settings.kl_ctrl), settings.kl_penalty)
    data = compute_advantage_for_multi_trajectories(
        data,
        batch_keys=[f"{uid}_{row}_0" for row, uid in enumerate(batch.groups)],
        adv_estimator=settings.adv_estimator,
        gamma=settings.gamma,
        lam=settings.lam,
        norm_adv_by_std_in_grpo=settings.norm_adv_by_std_in_grpo,
        config=settings,
    )
    return data.batch["advantages"].numpy().astype(float)


def verl_loss(
    algorithm: str, batch: Batch, advantages: np.ndarray, overrides: Mapping[str, object] | None = None
) -> tuple[float, np.ndarray]:
    """verl's `ppo_loss` with our actor settings: the loss, and its gradient by each log-probability.

    The denominators are those that our engine sets: tokens and sequences that are not padding.
    """
    from verl.utils import tensordict_utils
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.utils.losses import ppo_loss

    settings = composed(algorithm).actor_rollout_ref.actor.copy()
    settings.update(overrides or {})
    actor = omega_conf_to_dataclass(settings)

    def nested(column: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        rows = [torch.tensor(row[:n], dtype=dtype) for row, n in zip(column, batch.lengths, strict=True)]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    data = tensordict_utils.get_tensordict(
        {
            "prompts": torch.nested.as_nested_tensor(
                [torch.ones(PROMPT).long()] * len(batch.mask), layout=torch.jagged
            ),
            "responses": nested(batch.mask, torch.long),
            "response_mask": nested(batch.mask, torch.long),
            "old_log_probs": nested(batch.old_log_probs),
            "ref_log_prob": nested(batch.ref_log_probs),
            "advantages": nested(advantages),
        },
        {
            "dp_size": 1,
            "batch_num_tokens": int(batch.mask.sum()),
            "global_batch_size": int(batch.real.sum()),
        },
    )
    leaf = torch.tensor(batch.log_probs, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    # the model's output at one position is the log-probability of the token after it
    rows = [torch.cat([zero.repeat(PROMPT - 1), leaf[i, :n], zero]) for i, n in enumerate(batch.lengths)]
    output = {"log_probs": torch.nested.as_nested_tensor(rows, layout=torch.jagged)}
    loss, _ = ppo_loss(actor, output, data)
    loss.backward()
    assert leaf.grad is not None
    return float(loss.detach()), leaf.grad.numpy()
