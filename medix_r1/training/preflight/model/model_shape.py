"""What follows from a model's shape: attention heads, experts, an output layer of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.training.preflight.model import known_models
from medix_r1.training.preflight.model.model_folder import model_config, snapshot, tensor_sizes, weight_files

_FLASH = ("flash_attention_2", "flash_attention_3")
_FLASH_ALONE = ("qwen2_vl", "qwen2_5_vl")  # verl replaces their attention by its own


def shape_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the model's shape: attention heads against tensor parallel ranks, an output layer of its own."""
    model, rollout, actor = (
        config.actor_rollout_ref.model,
        config.actor_rollout_ref.rollout,
        config.actor_rollout_ref.actor,
    )
    heads, parallel = text_values(model.path).get("num_attention_heads"), rollout.tensor_model_parallel_size
    if isinstance(heads, int) and isinstance(parallel, int) and parallel > 0 and heads % parallel:
        yield Problem(
            "actor_rollout_ref.rollout.tensor_model_parallel_size",
            "heads-do-not-divide",
            f"{parallel} does not divide the {heads} attention heads of {model.path}, which vLLM refuses",
        )
    if model.use_fused_kernels and actor.strategy == "fsdp2" and is_tied(model.path) is False:
        yield Problem(
            "actor_rollout_ref.model.use_fused_kernels",
            "wrong-gradients",
            f"true gives the output layer of {model.path}, which is not tied to the embeddings, wrong gradients under "
            "actor.strategy=fsdp2; set it to false",
        )
    yield from _attention_problems(config)


def _attention_problems(config: DictConfig) -> Iterator[Problem]:
    """What verl does by flash-attn alone, whatever attention is asked for."""
    model, fsdp = config.actor_rollout_ref.model, config.actor_rollout_ref.actor.fsdp_config
    asked = (model.get("override_config") or {}).get("attn_implementation") or "flash_attention_2"
    if asked in _FLASH:
        return
    if model.use_remove_padding and str(values_of(model.path).get("model_type")) in _FLASH_ALONE:
        yield Problem(
            "actor_rollout_ref.model.use_remove_padding",
            "needs-flash-attn",
            f"true packs rows, for which verl calls flash-attn itself in {model.path}, not {asked}; set it to false, "
            "or drop override_config.attn_implementation",
        )
    if fsdp.ulysses_sequence_parallel_size > 1:
        yield Problem(
            "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size",
            "needs-flash-attn",
            f"{fsdp.ulysses_sequence_parallel_size} splits rows, which verl puts together for flash-attn alone, not "
            f"for {asked}; set it to 1, or drop override_config.attn_implementation",
        )


def is_tied(model: str) -> bool | None:
    """Whether a model's output layer is its input embedding; None if unknown."""
    config = values_of(model)
    for values in (config, config.get("text_config") or {}):
        if isinstance(tied := values.get("tie_word_embeddings"), bool):
            return tied
    sizes = [tensor_sizes(file) or {} for file in weight_files(snapshot(model))]
    return not any(name.endswith("lm_head.weight") for one in sizes for name in one) if any(sizes) else None


def is_text_only(model: str) -> bool:
    """Whether a model's config knows no pictures; False if the config is not on this machine."""
    config = values_of(model)
    return bool(config.get("model_type")) and not any("vision" in name or "image" in name for name in config)


def is_mixture_of_experts(model: str) -> bool:
    """Whether a model's config says so; False if it is not known."""
    return bool(text_values(model).get("num_experts")) or str(values_of(model).get("model_type")).endswith("_moe")


def text_values(model: str) -> dict[str, Any]:
    """The values of a model's language model; Qwen2.5-VL's may stand at the top of its config."""
    config = values_of(model)
    return config | (config.get("text_config") or {})


def values_of(model: str) -> dict[str, Any]:
    """A model's config.json, or what is known of a hub name that is not on this machine; else empty."""
    if config := model_config(snapshot(model)):
        return config
    known = known_models.find(model)
    return dict(known.config) if known else {}
