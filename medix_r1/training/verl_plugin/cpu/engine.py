"""FSDP2 training engine for the CPU, registered when verl_plugin/engine.py is imported on this platform."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

from medix_r1.training.verl_plugin.engine import MedixEngine


@contextmanager
def _without_cpu_offload() -> Iterator[None]:
    """Verl offloads forward-only models with pinned memory, which needs CUDA and would move CPU to CPU."""
    original = transformer_impl.CPUOffloadPolicy
    transformer_impl.CPUOffloadPolicy = lambda *args, **kwargs: None
    try:
        yield
    finally:
        transformer_impl.CPUOffloadPolicy = original


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
class CpuFsdpEngine(MedixEngine):
    """Our FSDP2 engine without CPU offload."""

    def _build_fsdp_module(self, module: Any) -> Any:
        with _without_cpu_offload():
            return super()._build_fsdp_module(module)
