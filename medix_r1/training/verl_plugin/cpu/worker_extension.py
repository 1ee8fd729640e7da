"""Runs inside vLLM's CPU worker: keeps each linear layer's weight so that it can be loaded again after an update."""

from __future__ import annotations

import functools
from typing import Any

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from vllm.model_executor.layers import utils as layers


def keep_linear_weights() -> None:
    """Stop vLLM from dropping a layer's weight once it is packed; verl repacks after every weight update."""
    if hasattr(layers.dispatch_cpu_unquantized_gemm, "__wrapped__"):
        return
    original = layers.dispatch_cpu_unquantized_gemm

    @functools.wraps(original)
    def keeping(layer: Any, remove_weight: bool) -> None:
        original(layer, remove_weight=False)

    layers.dispatch_cpu_unquantized_gemm = keeping


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's worker extension; the patch is in place before the model is loaded."""

    def __new__(cls, **kwargs: Any) -> CpuWorkerExtension:
        keep_linear_weights()
        return super().__new__(cls, **kwargs)
