"""A mixture of experts on vLLM's CPU worker: its experts can be loaded again, and its routes can be written down.

Upstream: vLLM 0.24's CPU build packs the experts into new parameters, which have no `weight_loader`, so loading new
ones fails. And it chooses the experts inside its kernel, where `enable_return_routed_experts` does not look, so that
every token's route is written down as zeros.

See it: docs/upstream/cpu_experts.py

Here: experts are multiplied with torch's own products, which need no packing (vLLM's way for machines without its
kernel, but for the activation, which it builds anew in each call, where it may not); and whoever captures routes is
told the choice. linear_weights.py installs this in vLLM's worker, before the model is loaded.

Goes when: the script says that both work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from vllm.model_executor.layers.activation import SiluAndMul
from vllm.model_executor.layers.fused_moe import cpu_fused_moe
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner

from medix_r1.training.verl_plugin.patches.replacing import replace_once

_told: list[Callable[[Any], None]] = []  # listeners of the layer that is computed now; layers do not nest


def install() -> None:
    """Replace three functions of vLLM and an activation; a second call does nothing."""
    cpu_fused_moe._CPU_MOE_ACT_FN[MoEActivation.SILU] = SiluAndMul.forward_native
    replace_once(cpu_fused_moe.CPUFusedMOE, "check_grouped_gemm", _unpacked)
    replace_once(MoERunner, "_apply_quant_method", _of_a_layer)
    replace_once(cpu_fused_moe, "select_experts", _telling)


def _unpacked(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def check(*_: Any) -> tuple[bool, str]:
        return False, "none"

    return check


def _of_a_layer(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def apply(self: Any, *args: Any, **kwargs: Any) -> Any:
        capture = getattr(self.router, "capture_fn", None)
        if capture is None:
            return original(self, *args, **kwargs)
        _told.append(capture)
        try:
            return original(self, *args, **kwargs)
        finally:
            _told.pop()

    return apply


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def select(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        weights, experts = original(*args, **kwargs)
        for capture in _told:
            capture(experts)
        return weights, experts

    return select
