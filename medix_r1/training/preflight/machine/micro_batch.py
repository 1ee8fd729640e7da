"""The micro-batches that take the most memory: as many rows as fit, each with the largest pictures and a short text.

verl fills a micro-batch up to a number of tokens. Its pictures matter besides: the vision tower turns each into four
patches a token, so a micro-batch of pictures takes more than one of text.
"""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig

from medix_r1.host.folders import named_path
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import UnreadableFile, read_all
from medix_r1.training.preflight.rows.lengths import token_side

_LEAST_TEXT = 128  # tokens of template, question and a short reply in a row with a picture


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Sizes of one forward pass of a rank.

    Attributes:
        rows: number of rows.
        tokens: of all rows together, padding included.
        pictures: tokens of each picture.
        padded: rows are padded to one length and not packed.
    """

    rows: int
    tokens: int
    pictures: tuple[int, ...]
    padded: bool = False


@dataclass(frozen=True, slots=True)
class Stages:
    """Micro-batches of a step's stages; `reference` is None where no reference is asked."""

    update: MicroBatch
    log_probs: MicroBatch
    reference: MicroBatch | None


def of_config(config: DictConfig, pictures: int | None = None) -> Stages:
    """The largest micro-batches of a run.

    Args:
        config: a composed training config.
        pictures: of a micro-batch of the update; None takes as many of the largest as fit.
    """
    node = config.actor_rollout_ref
    actor, rollout, ref = node.actor, node.rollout, node.ref
    has_reference = bool(actor.use_kl_loss or config.algorithm.use_kl_in_reward)
    return Stages(
        _micro_batch(
            config,
            actor.ppo_max_token_len_per_gpu if actor.use_dynamic_bsz else None,
            actor.ppo_micro_batch_size_per_gpu,
            pictures,
        ),
        # Old log-probs come in the update's micro-batches, unless it shuffles (computing/equal_micro_batches.py).
        _micro_batch(
            config,
            rollout.log_prob_max_token_len_per_gpu if rollout.log_prob_use_dynamic_bsz else None,
            rollout.log_prob_micro_batch_size_per_gpu,
        )
        if actor.shuffle
        else _micro_batch(
            config,
            actor.ppo_max_token_len_per_gpu if actor.use_dynamic_bsz else None,
            actor.ppo_micro_batch_size_per_gpu,
        ),
        _micro_batch(
            config,
            ref.log_prob_max_token_len_per_gpu if ref.log_prob_use_dynamic_bsz else None,
            ref.log_prob_micro_batch_size_per_gpu,
        )
        if has_reference
        else None,
    )


def _micro_batch(config: DictConfig, budget: int | None, rows: int | None, pictures: int | None = None) -> MicroBatch:
    longest = int(config.data.max_prompt_length + config.data.max_response_length)
    each = picture_tokens(config)
    padded = not config.actor_rollout_ref.model.use_remove_padding
    if budget is None:
        rows = int(rows or 1)
        fit = rows * (int(config.data.max_prompt_length) // (each + _LEAST_TEXT)) if each else 0
        count = fit if pictures is None else pictures
        return MicroBatch(rows, rows * longest, (each,) * count, padded)
    fit = int(budget) // (each + _LEAST_TEXT) if each else 0
    count = fit if pictures is None else pictures
    return MicroBatch(max(1, count), int(budget), (each,) * count, padded)


def picture_tokens(config: DictConfig) -> int:
    """Tokens of the data's largest picture within the config's limits; 0 if no picture is known of."""
    side = token_side(config.actor_rollout_ref.model.path)
    high = _largest(config)
    if not side or not high:
        return 0
    return max(1, min(int(high // side**2), int(config.data.max_prompt_length) - 1))


def _largest(config: DictConfig) -> float | None:
    """Pixels of the largest picture of a prepared folder after the limits; without an index, the upper limit."""
    limits = config.data.get("mm_processor_kwargs") or {}
    low, high = limits.get("min_pixels"), limits.get("max_pixels")
    paths = [named_path(name) for name in batches.data_files(config, "train_files")]
    if paths and all(path.is_file() for path in paths):
        try:
            if (largest := read_all(paths, low=low, high=high).largest) is not None:
                return largest
        except UnreadableFile:
            return float(high) if high else None  # reported by the checks of the data
    return float(high) if high else None
