"""verl's two initialisers make a gloo process group when the device is the CPU.

Upstream: verl 0.9.1 builds the backend string `cpu:gloo,DEVICE:BACKEND`. When the device is the CPU this is
`cpu:gloo,cpu:gloo`, which torch refuses.

See it: docs/upstream/process_group.py

Here: both initialisers get the backend `cpu:gloo`.

Goes when: the script can start a process group.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import verl.utils.distributed as distributed

from medix_r1.training.verl_plugin.patches.process_group_timeout import seconds
from medix_r1.training.verl_plugin.patches.replacing import replace_once

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

    def with_gloo(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def initialize(timeout_second: int | None = None, backend: str | None = None) -> Any:
            return original(timeout_second=seconds(timeout_second), backend=backend or BACKEND)

        return initialize

    replace_once(distributed, "initialize_global_process_group_ray", with_gloo)
    replace_once(distributed, "initialize_global_process_group", lambda _: initialize_global_process_group)
