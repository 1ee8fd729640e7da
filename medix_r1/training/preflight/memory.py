"""Estimates the memory of one training rank, by part, from the model's config alone.

Exact: parameters (of a known model, or of one built on torch's `meta` device), gradients and optimizer states of the
trained ones, all sharded over the ranks by FSDP2. Estimated: activations with gradient checkpointing (one hidden state
a layer and token, one layer being recomputed) and logits (verl also computes them in fp32). vLLM's share is what the
config gives it. docs/check.md compares the estimate with the tensors of real runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medix_r1.errors import ConfigError
from medix_r1.model_names import VISION_TOWERS, is_hub_name
from medix_r1.training.preflight.known_models import ModelSize, find
from medix_r1.training.preflight.placement import judge_share

GIB = 1024**3
_KEY = "actor_rollout_ref.model.path"
_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}
# Optimizer states of a parameter's size and dtype, other than 2: CompensatedAdamW has two moments and a compensation.
_STATES = {"CompensatedAdamW": 3}
_HIDDEN_COPIES, _MLP_COPIES = 10, 4  # of a token, in one layer during its backward pass


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes on one GPU, by part, while the actor updates and while vLLM generates."""

    update: Mapping[str, float]
    rollout: Mapping[str, float]

    @property
    def peak(self) -> float:
        return max(sum(self.update.values()), sum(self.rollout.values()))


def size_of(model: Path | str) -> ModelSize:
    """Sizes of a model, without loading its weights; of one that is not known, its config must be on this machine.

    Raises:
        ConfigError: there is no config that transformers can read.
    """
    if (known := find(str(model))) is not None:
        return known.size
    model = Path(model).expanduser() if Path(model).expanduser().is_dir() else str(model)
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
    text = config.get_text_config()
    layers = [module for name, module in built.named_modules() if name.rpartition(".")[0].endswith("layers")]
    towers = [module for name, module in built.named_modules() if name.rpartition(".")[2] in VISION_TOWERS]
    heads, dim = (
        text.num_key_value_heads,
        getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
    )
    return ModelSize(
        parameters=_count([built]),
        vision=_count(towers),
        linear=_linear([built], but=built.get_output_embeddings()),
        linear_vision=_linear(towers),
        largest_layer=max(_count([layer]) for layer in layers),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        mlp=text.intermediate_size,
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
    return _BYTES[str(actor.fsdp_config.get("model_dtype") or "fp32")]


def estimate(size: ModelSize, config: DictConfig, gpu_bytes: float) -> MemoryEstimate:
    """Estimate one rank's memory.

    Args:
        size: sizes of the policy.
        config: a composed training config.
        gpu_bytes: memory of one GPU; vLLM takes `gpu_memory_utilization` of it.
    """
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    if 0 < actor.fsdp_config.fsdp_size < ranks:  # hybrid sharding: the other ranks hold replicas
        ranks = actor.fsdp_config.fsdp_size
    stored, of_trained = stored_bytes(actor), trained_bytes(config)
    mixed = actor.fsdp_config.get("mixed_precision") or {}
    computed = _BYTES[str(mixed.get("param_dtype", "bf16"))]
    tokens = _tokens(config)
    parameters, trained = _trained(size, config)
    update = {
        "parameters": (stored * size.parameters + of_trained * (parameters - size.parameters)) / ranks,
        "gradients": of_trained * trained / ranks,
        "optimizer": optimizer_states(actor) * of_trained * trained / ranks,
        "gathered layer": 2.0 * computed * size.largest_layer,  # and the prefetched next one
        "activations": computed * tokens * ((size.layers + _HIDDEN_COPIES) * size.hidden + _MLP_COPIES * size.mlp),
        "logits": (computed + 4) * tokens * size.vocabulary,  # plus an fp32 copy
    }
    weights = 2 * size.parameters / rollout.tensor_model_parallel_size
    share = rollout.gpu_memory_utilization * gpu_bytes
    left = {"parameters": 0.0 if actor.fsdp_config.param_offload else update["parameters"]}
    left["optimizer"] = 0.0 if actor.fsdp_config.optimizer_offload else update["optimizer"]
    judge = _judge(config, gpu_bytes)
    return MemoryEstimate(
        update | judge, left | {"vLLM weights": weights, "KV cache": max(0.0, share - weights)} | judge
    )


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


def _tokens(config: DictConfig) -> float:
    """Tokens of one forward and backward pass of a rank."""
    actor = config.actor_rollout_ref.actor
    if actor.use_dynamic_bsz:
        return float(actor.ppo_max_token_len_per_gpu)
    longest = config.data.max_prompt_length + config.data.max_response_length
    return float((actor.ppo_micro_batch_size_per_gpu or 1) * longest)


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
