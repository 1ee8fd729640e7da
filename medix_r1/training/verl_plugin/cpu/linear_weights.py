"""Linear layers of vLLM's CPU worker keep their weights, so that they can be loaded again after an update.

Upstream: vLLM 0.24's `dispatch_cpu_unquantized_gemm` packs a linear layer's weight and then drops the weight itself.
That is right for serving; RL loads new weights after every update, and the second load finds an empty parameter.

See it: docs/upstream/cpu_linear_weights.py

Here: the function is called with `remove_weight=False`, inside vLLM's worker, before its model is loaded. replica.py
names the worker extension below, and making one installs this.

Goes when: vLLM keeps a weight that its engine may be asked to update, or verl asks it to.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from vllm.model_executor.layers import utils as layers

from medix_r1.training.verl_plugin.cpu import experts
from medix_r1.training.verl_plugin.patches.replacing import replace_once


def install() -> None:
    """Wrap vLLM's `dispatch_cpu_unquantized_gemm`; a second call does nothing."""

    def keeping(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def dispatch(layer: Any, remove_weight: bool) -> None:
            original(layer, remove_weight=False)

        return dispatch

    replace_once(layers, "dispatch_cpu_unquantized_gemm", keeping)


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's worker extension; this patch and that of experts.py are in place before the model is loaded."""

    def __new__(cls, **kwargs: Any) -> CpuWorkerExtension:
        install()
        experts.install()
        return super().__new__(cls, **kwargs)
