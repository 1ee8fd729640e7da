"""Stops vLLM's processes from spinning while they wait for each other, which costs two cores more than it saves.

A vLLM worker that has nothing to read keeps a core busy for a second (`SpinCondition`, busy_loop_s=1) before it goes to
sleep. With a rollout engine and a judge on the same two cores, half of their processor time went into that. vLLM calls
this through its own entry-point group `vllm.general_plugins`, in every process of an engine.
"""

from __future__ import annotations

import functools
from typing import Any

from medix_r1.training.cpu import is_active

BUSY_LOOP_SECONDS = 0.001


def register() -> None:
    """Make waiting readers sleep at once on the CPU platform; elsewhere, and the second time, do nothing."""
    if not is_active():
        return
    from vllm.distributed.device_communicators.shm_broadcast import SpinCondition

    original = SpinCondition.__init__
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def sleeping(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.busy_loop_s = min(self.busy_loop_s, BUSY_LOOP_SECONDS)

    SpinCondition.__init__ = sleeping
