"""Forward-only models are not offloaded on a machine without a GPU.

Upstream: verl 0.9.1 puts every forward-only FSDP2 model (the reference) under `CPUOffloadPolicy(pin_memory=True)`.
Pinning needs CUDA; without it torch raises. On a CPU it would also move parameters from the CPU to the CPU.

See it: docs/upstream/forward_only_offload.py

Here: while such a model is built, `CPUOffloadPolicy` makes None, which FSDP2 takes for "no offload".

Goes when: verl offloads only what is on an accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from verl.workers.engine.fsdp import transformer_impl
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead


@contextmanager
def _without_cpu_offload() -> Iterator[None]:
    original = transformer_impl.CPUOffloadPolicy
    transformer_impl.CPUOffloadPolicy = lambda *args, **kwargs: None
    try:
        yield
    finally:
        transformer_impl.CPUOffloadPolicy = original


class NoCpuOffload(FSDPEngineWithLMHead):
    """verl's FSDP engine without CPU offload."""

    def _build_fsdp_module(self, module: Any) -> Any:
        with _without_cpu_offload():
            return super()._build_fsdp_module(module)
