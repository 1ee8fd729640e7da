"""What verl 0.9.1 and vLLM 0.24 need to train on a machine with no GPU; nothing here acts unless VERL_PLATFORM=cpu.

- platform.py registers with `verl.plugin.platform.PlatformRegistry` (official): verl knows cuda and npu only.
- process_group.py replaces `verl.utils.distributed.initialize_global_process_group` and its `_ray` variant: verl builds
  the backend `cpu:gloo,cpu:gloo`, which torch refuses.
- engine.py registers with `verl.workers.engine.EngineRegistry` (official) and takes `CPUOffloadPolicy` out of
  `verl.workers.engine.fsdp.transformer_impl` during one call: pinned memory needs CUDA.
- rollout.py and replica.py register with `verl.workers.rollout.replica.RolloutReplicaRegistry` (official) subclasses of
  `vLLMReplica` and `vLLMHttpServer`, to name the worker extension below.
- worker_extension.py subclasses `vLLMColocateWorkerExtension` and wraps vLLM's `dispatch_cpu_unquantized_gemm`, which
  drops a weight once it is packed: RL loads weights again and again.
- idle_readers.py replaces `sched_yield` in `vllm.distributed.device_communicators.shm_broadcast`, through the entry
  point `vllm.general_plugins` (official): waiting readers would otherwise spin on cores that others need.

`tests/.../test_compatibility.py` names each of these symbols, so that a new version fails by name.
"""

from __future__ import annotations

import os


def is_active() -> bool:
    """Whether this process was asked to run on the CPU platform."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def install() -> None:
    """Register the CPU platform, process group and rollout with verl; called in every process, any number of times."""
    from medix_r1.training.verl_plugin.cpu import platform, process_group, rollout

    platform.register()
    process_group.install()
    rollout.register()
