"""What a simulation is asked, and what in it stands for a kernel; imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medix_r1.training.preflight.machine import micro_batch
from medix_r1.training.preflight.machine.activations import attention
from medix_r1.training.preflight.model import known_models
from medix_r1.training.preflight.model.model_folder import snapshot

PACKED, DENSE = "simulated_packed", "simulated_dense"  # attention implementations of stand_ins.py


def asked_of(config: DictConfig, stages: micro_batch.Stages) -> dict[str, Any]:
    """What process.py reads from its file."""
    known = known_models.find(config.actor_rollout_ref.model.path)
    wanted = ("actor_rollout_ref", "algorithm")
    return {
        "config": {name: OmegaConf.to_container(config[name], resolve=True) for name in wanted},
        "folder": None if known else str(snapshot(config.actor_rollout_ref.model.path)),
        "values": known.config if known else None,
        "ranks": config.trainer.nnodes * config.trainer.n_gpus_per_node,
        "dense": needs_dense_mask(config),
        "flash": has_flash_attention(config),
        "stages": dataclasses.asdict(stages),
    }


def has_flash_attention(config: DictConfig) -> bool:
    """Whether the run uses flash-attn: verl takes it where it is installed, so only the asked attention tells."""
    return attention(config).startswith("flash")


def needs_dense_mask(config: DictConfig) -> bool:
    """Whether a mask of all tokens against all is made."""
    return attention(config) in ("sdpa", "eager")


def stand_ins_of(config: DictConfig) -> Iterator[str]:
    """What replaces a kernel or a value in this config's simulation, a sentence each."""
    node = config.actor_rollout_ref
    if needs_dense_mask(config):
        yield "attention: torch's memory-efficient kernel with the dense mask of packed rows, heads of keys repeated"
    else:
        yield "attention: a packed kernel keeps its inputs, its output and one number a row and head, and makes no mask"
    if not node.model.use_fused_kernels:
        if has_flash_attention(config):
            yield "log-probs: flash-attn's cross-entropy keeps the logits, and gradients replace them in place"
        if node.actor.fsdp_config.use_torch_compile:
            yield "entropy: as torch.compile fuses it, without a copy of the logits"
    yield "positions, windows and places of pictures: of the same sizes, without values"
    yield "autocast: layer norms in fp32, as on CUDA"


def fingerprint(config: DictConfig, stages: micro_batch.Stages) -> str:
    """Changes when anything changes that a simulation depends on."""
    asked = asked_of(config, stages)
    node = asked["config"]["actor_rollout_ref"]
    actor, ref = node["actor"], node["ref"]
    relevant = {
        **{name: value for name, value in asked.items() if name not in ("config", "folder")},
        "model": {name: value for name, value in node["model"].items() if name not in ("path", "external_lib")},
        "actor": {name: actor[name] for name in ("strategy", "fsdp_config", "calculate_entropy", "entropy_coeff")},
        "optimizer": (actor["optim"]["optimizer"], actor["optim"]["optimizer_impl"]),
        "reference": ref["fsdp_config"] if stages.reference else None,
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True, default=str).encode()).hexdigest()[:16]
