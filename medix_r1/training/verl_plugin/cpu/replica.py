"""verl's vLLM rollout with the worker extension of linear_weights.py."""

from __future__ import annotations

from typing import Any

import ray
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica


class CpuHttpServer(vLLMHttpServer):
    """verl's server around one vLLM engine, naming our worker extension."""

    def _get_worker_extension_cls(self) -> str:
        return "medix_r1.training.verl_plugin.cpu.linear_weights.CpuWorkerExtension"


class CpuReplica(vLLMReplica):
    """verl's replica, starting the server above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server_class = ray.remote(CpuHttpServer)
