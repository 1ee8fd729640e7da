"""vLLM's shared-memory readers sleep between polls instead of busy-waiting.

Upstream: a worker of vLLM 0.24 that has nothing to read polls shared memory without a pause for a second
(`SpinCondition.wait` calls `sched_yield`). That costs nothing where each process has a core of its own. With a rollout
engine and a judge on the same two cores, half of their processor time went into it.

See it: docs/upstream/spinning_readers.py

Here: a short sleep takes the place of `sched_yield`. vLLM calls `register` through its own entry-point group
`vllm.general_plugins`, in every process of an engine. Entering vLLM's idle mode at once would save more, but then a
missed notification hangs the engine (seen here); a short sleep between polls is safe.

Goes when: vLLM lets one set how long its readers spin.
"""

from __future__ import annotations

import time

from medix_r1.training.verl_plugin.cpu import is_active
from medix_r1.training.verl_plugin.patches.replacing import replace_once

PAUSE = 0.0005  # seconds between two polls of the shared memory


def pause() -> None:
    """Sleep, so that another process gets the core."""
    time.sleep(PAUSE)


def register() -> None:
    """Replace `sched_yield` on the CPU platform; elsewhere do nothing."""
    if is_active():
        from vllm.distributed.device_communicators import shm_broadcast

        replace_once(shm_broadcast, "sched_yield", lambda _: pause)
