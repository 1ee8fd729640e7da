"""Stops vLLM's processes from spinning while they wait for each other.

A vLLM worker that has nothing to read polls shared memory without a pause for a second (`SpinCondition.wait` calls
`sched_yield`). With a rollout engine and a judge on the same two cores, half of their processor time went into that.
vLLM calls `register` through its own entry-point group `vllm.general_plugins`, in every process of an engine.

Making readers go to vLLM's idle mode at once would save more, but then a notification can be missed and the engine
hangs (seen here); a short sleep between two looks is safe.
"""

from __future__ import annotations

import time

from medix_r1.training.verl_plugin.cpu import is_active

PAUSE = 0.0005  # seconds between two looks at the shared memory


def pause() -> None:
    """Give the core to somebody who has work."""
    time.sleep(PAUSE)


def register() -> None:
    """Pause instead of yielding on the CPU platform; elsewhere do nothing."""
    if is_active():
        from vllm.distributed.device_communicators import shm_broadcast

        shm_broadcast.sched_yield = pause
