"""Tells verl where the CPU's rollout replica is, without importing vLLM until verl asks for it."""

from __future__ import annotations

from typing import Any

from verl.workers.rollout.replica import RolloutReplicaRegistry


def load_replica() -> type[Any]:
    """Import and return the replica class; verl calls this only in processes that need vLLM."""
    from medix_r1.training.verl_plugin.cpu.replica import CpuReplica

    return CpuReplica


def register() -> None:
    """Register under verl's own name `vllm`, since verl branches on that name elsewhere."""
    RolloutReplicaRegistry.register("vllm", load_replica)
