"""Estimates what a forward and backward pass needs besides parameters, gradients and optimizer states.

The peak is at one of three moments: when the backward pass begins, and all checkpoints and the logits are there; in the
largest layer, which is gathered, computed again and reduced; or in the optimizer's step. Each count below is read off
the modules, and held against simulations at real size (docs/check.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from omegaconf import DictConfig

from medix_r1.training.preflight.machine.micro_batch import MicroBatch
from medix_r1.training.preflight.model.known_models import ModelSize

BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}
_FUSED_ROWS = 512  # rows of logits that verl's fused kernels compute at a time
_CHUNKS = 16  # chunks of the logits in verl_plugin/patches/chunked_log_probs.py
_NORM = 10  # bytes of a value in a norm that is kept: in fp32, normalised in fp32, in the dtype of the computation
_MERGER = 10  # bytes of a value in a merger: its norm in fp32, and what three layers keep
_HIDDEN_COPIES, _MLP_COPIES = 10, 4  # values kept for each token, in widths of the layer, during its backward pass
_EXPERT_COPIES = 5


def of_update(
    size: ModelSize, config: DictConfig, batch: MicroBatch, held: Mapping[str, float]
) -> Iterator[dict[str, float]]:
    """Bytes by part at each moment that can be the peak of an update."""
    node, computed = config.actor_rollout_ref, _computed(config)
    lora = bool(node.model.lora_rank)
    # The looking term keeps a second forward pass beside the first; the backward pass goes through one after the other.
    looking = config.looking_loss
    passes = 2 if looking.coefficient else 1
    kept, logits = passes * _kept(size, config, batch), _logits(size, config, batch)
    head = 0.0 if lora else computed * size.vocabulary * size.hidden
    entropy = bool(node.actor.calculate_entropy or node.actor.entropy_coeff or (passes > 1 and looking.entropy))
    yield {
        **held,
        "gathered layers": _root(size, computed),
        "activations": kept,
        "logits": passes * logits,
        "backward pass": head
        + _gradients_of_logits(size, config, batch)
        + 2 * computed * batch.tokens * size.hidden
        + _entropy(size, config, batch) * entropy,
    }
    waiting = {"logits": logits} if passes > 1 else {}
    layer = size.largest_layer * (2 * computed + (0 if lora else computed + 4))
    of_token = _HIDDEN_COPIES * size.hidden + _MLP_COPIES * size.mlp
    if size.routed:
        of_token = _HIDDEN_COPIES * size.hidden + size.routed * _EXPERT_COPIES * (size.hidden + size.mlp)
    yield {
        **held,
        "gathered layers": _root(size, computed) + layer,
        "activations": kept,
        **waiting,
        "backward pass": computed * batch.tokens * of_token,
    }
    yield {**held, "backward pass": held["optimizer"] / 2 if node.actor.optim.optimizer == "AdamW" else 0.0}


def of_log_probs(size: ModelSize, config: DictConfig, batch: MicroBatch, *, entropy: bool = True) -> dict[str, float]:
    """Bytes by part of a forward pass alone, when the logits are there."""
    computed = _computed(config)
    pictures = sum(batch.pictures)
    return {
        "gathered layers": _root(size, computed),
        "activations": computed * size.hidden * (pictures * size.mergers + 3.0 * batch.tokens),
        "inputs": 4.0 * pictures * size.patches_per_token * size.patch_values,
        "logits": _logits(size, config, batch) + _entropy(size, config, batch) * entropy,
    }


def _computed(config: DictConfig) -> int:
    mixed = config.actor_rollout_ref.actor.fsdp_config.get("mixed_precision") or {}
    return BYTES[str(mixed.get("param_dtype", "bf16"))]


def _kept(size: ModelSize, config: DictConfig, batch: MicroBatch) -> float:
    """What autograd keeps: the input of each layer, mergers, the last norm, the pictures' patches."""
    computed, pictures = _computed(config), sum(batch.pictures)
    patches = pictures * size.patches_per_token
    frozen = bool(config.actor_rollout_ref.actor.freeze_vision_tower)
    tower = patches * size.vision_hidden * (computed * size.vision_layers + _MERGER * size.mergers)
    text = batch.tokens * size.hidden * (computed * size.layers + _NORM)
    mask = batch.tokens**2 if attention(config) in ("sdpa", "eager") else 0
    return float(text + (0 if frozen else tower) + computed * patches * size.patch_values + 3 * mask)


def _root(size: ModelSize, computed: int) -> float:
    """FSDP's root keeps its parameters gathered, and the output layer is gathered beside it."""
    return float(computed * (size.outside + size.vocabulary * size.hidden))


def _logits(size: ModelSize, config: DictConfig, batch: MicroBatch) -> float:
    rows = min(_FUSED_ROWS, batch.tokens) if config.actor_rollout_ref.model.use_fused_kernels else batch.tokens
    copies = 2 if batch.padded else 1  # out of the padding, where rows are not packed
    return float(copies * _computed(config) * rows * size.vocabulary)


def _gradients_of_logits(size: ModelSize, config: DictConfig, batch: MicroBatch) -> float:
    """None by flash-attn's cross-entropy, which puts them in the logits' place."""
    if config.actor_rollout_ref.model.use_fused_kernels:
        return 4.0 * size.vocabulary * size.hidden
    if attention(config).startswith("flash"):
        return 0.0
    return batch.tokens * size.vocabulary * (_computed(config) + 3 * 4 / _CHUNKS)


def _entropy(size: ModelSize, config: DictConfig, batch: MicroBatch) -> float:
    """Compiled, it needs no copy of the logits."""
    node = config.actor_rollout_ref
    if node.model.use_fused_kernels or node.actor.fsdp_config.use_torch_compile:
        return 0.0
    return 3.0 * 4 * batch.tokens * size.vocabulary


def attention(config: DictConfig) -> str:
    """The attention that transformers is asked for."""
    asked = (config.actor_rollout_ref.model.get("override_config") or {}).get("attn_implementation")
    return str(asked or "flash_attention_2")
