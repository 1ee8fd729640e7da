"""The gloo process group that verl's two initialisers should make when the device itself is the CPU.

verl 0.9.1 builds the backend string `cpu:gloo,<device>:<backend>`; torch refuses `cpu:gloo,cpu:gloo`.
"""

from __future__ import annotations

import functools
import os
from datetime import timedelta
from typing import Any

import torch
import verl.utils.distributed as distributed

BACKEND = "cpu:gloo"


def initialize_global_process_group(timeout_second: int = 36000) -> tuple[int, int, int]:
    """Stand in for verl's function of this name; returns (local rank, rank, world size)."""
    torch.distributed.init_process_group(
        backend=BACKEND,
        timeout=timedelta(seconds=timeout_second),
        init_method=os.environ.get("DIST_INIT_METHOD"),
    )
    return int(os.environ["LOCAL_RANK"]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def install() -> None:
    """Replace both initialisers; a second call does nothing."""
    if distributed.initialize_global_process_group is initialize_global_process_group:
        return
    original = distributed.initialize_global_process_group_ray

    @functools.wraps(original)
    def with_gloo(timeout_second: int | None = None, backend: str | None = None) -> Any:
        return original(timeout_second=timeout_second, backend=backend or BACKEND)

    distributed.initialize_global_process_group_ray = with_gloo
    distributed.initialize_global_process_group = initialize_global_process_group
