"""Estimates the memory of one training rank, by part, from the model's config alone.

Exact: parameters (of a known model, or of one built on torch's `meta` device), gradients and optimizer states of the
trained ones, all sharded over the ranks by FSDP2. Estimated: activations.py. vLLM's share is what the config gives it.
docs/check.md compares the estimate with the tensors of real runs, and with simulations at real size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medix_r1.errors import ConfigError
from medix_r1.host.folders import named_path
from medix_r1.model_names import VISION_TOWERS, is_hub_name
from medix_r1.training.preflight.machine import activations, micro_batch
from medix_r1.training.preflight.machine.placement import judge_share
from medix_r1.training.preflight.model.known_models import ModelSize, find

GIB = 1024**3
_KEY = "actor_rollout_ref.model.path"
# Optimizer states of a parameter's size and dtype, other than 2: CompensatedAdamW has two moments and a compensation.
_STATES = {"CompensatedAdamW": 3}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes on one GPU, by part, at the peak of each phase; `reference` is empty where no reference is asked."""

    update: Mapping[str, float]
    log_probs: Mapping[str, float]
    reference: Mapping[str, float]
    rollout: Mapping[str, float]

    @property
    def peak(self) -> float:
        """Of the training phases, which --simulate counts too."""
        return max(sum(phase.values()) for phase in (self.update, self.log_probs, self.reference))


def size_of(model: Path | str) -> ModelSize:
    """Sizes of a model, without loading its weights; of one that is not known, its config must be on this machine.

    Raises:
        ConfigError: there is no config that transformers can read.
    """
    if (known := find(str(model))) is not None:
        return known.size
    model = named_path(str(model)) if named_path(str(model)).is_dir() else str(model)
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            built = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    except OSError as error:  # with local_files_only; transformers then speaks of a connection that nobody tried
        if is_hub_name(str(model)):
            says = f"{model} is not on this machine; `hf download {model}` fetches it"
            raise ConfigError.of(_KEY, "not-downloaded", says) from error
        raise ConfigError.of(_KEY, "no-such-model", f"{model} does not exist") from error
    except ValueError as error:
        raise ConfigError.of(_KEY, "unreadable-model", f"the config of {model} cannot be read: {error}") from error
    return built_size(built, config)


def built_size(built: Any, config: Any) -> ModelSize:
    """Sizes of a model that transformers built on torch's meta device from a config."""
    text, vision = config.get_text_config(), config.vision_config
    layers = [module for name, module in built.named_modules() if name.rpartition(".")[0].endswith("layers")]
    blocks = [module for name, module in built.named_modules() if name.rpartition(".")[0].endswith("blocks")]
    towers = [module for name, module in built.named_modules() if name.rpartition(".")[2] in VISION_TOWERS]
    heads, dim = (
        text.num_key_value_heads,
        getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
    )
    tied = built.get_output_embeddings().weight is built.get_input_embeddings().weight
    own: Any = getattr(vision, "spatial_merge_size", None)
    merged = int(own or getattr(config, "scale_factor", 1))
    times = getattr(vision, "temporal_patch_size", 1)
    return ModelSize(
        parameters=_count([built]),
        vision=_count(towers),
        linear=_linear([built], but=built.get_output_embeddings()),
        linear_vision=_linear(towers),
        largest_layer=max(_count([layer]) for layer in layers),
        outside=_count([built])
        - _count(layers)
        - _count(blocks)
        - (1 if tied else 2) * text.vocab_size * text.hidden_size,
        tied=tied,
        vision_layers=getattr(vision, "depth", None) or vision.num_hidden_layers,
        vision_hidden=vision.hidden_size,
        patches_per_token=merged**2,
        patch_values=3 * times * vision.patch_size**2,
        mergers=1 + len(getattr(vision, "deepstack_visual_indexes", None) or ()),
        routed=getattr(text, "num_experts_per_tok", None) or 0,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        mlp=(getattr(text, "moe_intermediate_size", None) or text.intermediate_size),
        vocabulary=text.vocab_size,
        kv_bytes_per_token=2 * 2 * text.num_hidden_layers * heads * dim,
    )


def _count(modules: Sequence[Any]) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _linear(modules: Sequence[Any], but: Any = None) -> int:
    from torch.nn import Linear

    found = [
        layer for module in modules for layer in module.modules() if isinstance(layer, Linear) and layer is not but
    ]
    return sum(layer.in_features + layer.out_features for layer in found)


def _trained(size: ModelSize, config: DictConfig) -> tuple[int, int]:
    """Number of all parameters, LoRA's adapters included, and of those that are trained."""
    frozen = bool(config.actor_rollout_ref.actor.freeze_vision_tower)
    if rank := int(config.actor_rollout_ref.model.lora_rank):
        adapters = rank * size.linear
        return size.parameters + adapters, adapters - rank * size.linear_vision * frozen
    return size.parameters, size.parameters - size.vision * frozen


def optimizer_states(actor: DictConfig) -> int:
    """State tensors that the actor's optimizer keeps for each parameter, of its size and dtype."""
    return _STATES.get(actor.optim.optimizer, 2)


def trained_bytes(config: DictConfig) -> int:
    """Bytes of one element of trained parameters, their gradients and optimizer states."""
    actor = config.actor_rollout_ref.actor
    if config.actor_rollout_ref.model.lora_rank and actor.strategy == "fsdp2":
        return 4  # verl_plugin/patches/lora_adapters.py
    return stored_bytes(actor)


def stored_bytes(actor: DictConfig) -> int:
    """Bytes of one element of the model's parameters; without LoRA also of gradients and optimizer states."""
    return activations.BYTES[str(actor.fsdp_config.get("model_dtype") or "fp32")]


def estimate(size: ModelSize, config: DictConfig, gpu_bytes: float) -> MemoryEstimate:
    """Estimate one rank's memory.

    Args:
        size: sizes of the policy.
        config: a composed training config.
        gpu_bytes: memory of one GPU; vLLM takes `gpu_memory_utilization` of it.
    """
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    stages, judge = micro_batch.of_config(config), _judge(config, gpu_bytes)
    held = _held(size, config)
    update = max(
        (parts for parts in activations.of_update(size, config, stages.update, held)),
        key=lambda parts: sum(parts.values()),
    )
    parameters = {"parameters": held["parameters"]}
    idle = {} if actor.fsdp_config.optimizer_offload else {"optimizer": held["optimizer"]}
    log_probs = parameters | idle | activations.of_log_probs(size, config, stages.log_probs)
    reference = {}
    if stages.reference is not None:
        # With LoRA it is the actor without adapters; else its shards are on the host, as the actor's if offloaded.
        here = bool(config.actor_rollout_ref.model.lora_rank) or not actor.fsdp_config.param_offload
        rest = activations.of_log_probs(size, config, stages.reference, entropy=False)
        reference = (parameters if here else {}) | idle | rest | judge
    weights = 2 * size.parameters / rollout.tensor_model_parallel_size
    share = rollout.gpu_memory_utilization * gpu_bytes
    left = {"parameters": 0.0 if actor.fsdp_config.param_offload else held["parameters"]}
    left["optimizer"] = 0.0 if actor.fsdp_config.optimizer_offload else held["optimizer"]
    return MemoryEstimate(
        update | judge,
        log_probs | judge,
        reference,
        left | {"vLLM weights": weights, "KV cache": max(0.0, share - weights)} | judge,
    )


def _held(size: ModelSize, config: DictConfig) -> dict[str, float]:
    """Bytes of parameters, gradients and optimizer states: exact."""
    actor = config.actor_rollout_ref.actor
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    if 0 < actor.fsdp_config.fsdp_size < ranks:  # hybrid sharding: the other ranks hold replicas
        ranks = actor.fsdp_config.fsdp_size
    stored, of_trained = stored_bytes(actor), trained_bytes(config)
    parameters, trained = _trained(size, config)
    deferred = actor.fsdp_config.use_no_sync_for_gradient_accumulation
    return {
        "parameters": (stored * size.parameters + of_trained * (parameters - size.parameters)) / ranks,
        # Until the last micro-batch, deferred synchronisation keeps whole gradients in the dtype that is reduced, fp32.
        "gradients": 4.0 * trained if deferred and ranks > 1 else of_trained * trained / ranks,
        "optimizer": optimizer_states(actor) * of_trained * trained / ranks,
    }


def _judge(config: DictConfig, gpu_bytes: float) -> dict[str, float]:
    """Bytes that a judge holds permanently on a training GPU (placement=shared)."""
    share = judge_share(config)
    if config.judge.server is None or config.placement.judge != "shared" or share is None:
        return {}
    return {"judge": share * gpu_bytes}


def kv_tokens(size: ModelSize, config: DictConfig, gpu_bytes: float) -> float:
    """Tokens whose KV cache fits into vLLM's share of one GPU."""
    parallel = config.actor_rollout_ref.rollout.tensor_model_parallel_size
    return estimate(size, config, gpu_bytes).rollout["KV cache"] / (size.kv_bytes_per_token / parallel)


def counted_bytes(state: Mapping[str, Any]) -> int:
    """Bytes of all tensors in a checkpoint's shard, however deep: what the estimate is compared with."""
    total = 0
    for value in state.values():
        if isinstance(value, Mapping):
            total += counted_bytes(value)
        elif hasattr(value, "to_local"):
            total += value.to_local().nbytes
        elif hasattr(value, "nbytes"):
            total += value.nbytes
    return total
