"""Prints the vLLM engine arguments that verl makes of composed configs, with the nano policy's folder as the model.

python -m tests.support.engine_args MODEL_FOLDER EXPERIMENT…: one JSON line each, in a process of its own, because verl
chooses its platform when it is imported. verl's own server class builds and parses the command line; only the engine
itself is not started.
"""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any
from unittest import mock


def engine_arguments(folder: str, experiment: str) -> dict[str, Any]:
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.rollout.replica import RolloutMode
    from verl.workers.rollout.vllm_rollout import vllm_async_server
    from vllm.engine.arg_utils import AsyncEngineArgs

    from medix_r1.config import compose_train

    captured: list[Any] = []

    class Server(vllm_async_server.vLLMHttpServer):
        async def run_server(self, args: Any) -> None:
            captured.append(args)

    address = "judge.client.base_url=http://127.0.0.1:1/v1"
    config = compose_train([f"experiment={experiment}", f"actor_rollout_ref.model.path={folder}", address])
    rollout = config.actor_rollout_ref.rollout
    context = SimpleNamespace(get_job_id=lambda: "01000000")
    with (
        mock.patch.object(vllm_async_server.ray, "get_runtime_context", return_value=context),
        mock.patch.object(vllm_async_server.ray.util, "get_node_ip_address", return_value="127.0.0.1"),
    ):
        server = Server(
            config=omega_conf_to_dataclass(rollout),
            model_config=omega_conf_to_dataclass(config.actor_rollout_ref.model),
            rollout_mode=RolloutMode.HYBRID,
            workers=[],
            replica_rank=0,
            node_rank=0,
            gpus_per_node=config.trainer.n_gpus_per_node,
            nnodes=1,
            cuda_visible_devices="0",
        )
        asyncio.run(server.launch_server())
    built = AsyncEngineArgs.from_cli_args(captured[0])
    names = (
        "model",
        "dtype",
        "tensor_parallel_size",
        "max_model_len",
        "max_num_batched_tokens",
        "max_num_seqs",
        "seed",
        *("enable_chunked_prefill", "enforce_eager", "gpu_memory_utilization", "limit_mm_per_prompt"),
    )
    return {name: getattr(built, name) for name in names}


def main() -> None:
    folder, *experiments = sys.argv[1:]
    for experiment in experiments:
        sys.stdout.write(
            f"\n@{json.dumps({'experiment': experiment, **engine_arguments(folder, experiment)}, default=str)}\n"
        )


if __name__ == "__main__":
    main()
