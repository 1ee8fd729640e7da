"""`actor_rollout_ref.nccl_timeout` is the timeout of the actor's process group.

Upstream: verl 0.9.1 has the key (600 s) and reads it nowhere: workers make their process group with torch's default.
With a larger value a slow rank (weights from a network disk, many pictures) still ends the run after ten minutes.

See it: docs/upstream/process_group_timeout.py

Here: configs/verl.yaml puts the value into the workers' environment, and `initialize_global_process_group_ray` takes it
where its caller names none. FSDP's mesh of all ranks is that group.

Goes when: the script finds a place in verl that reads the key.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import verl.utils.distributed as distributed

from medix_r1.training.verl_plugin.patches.replacing import replace_once

logger = logging.getLogger(__name__)

VARIABLE = "MEDIX_R1_NCCL_TIMEOUT"  # such as `600 s`: Ray wants texts


def seconds(asked: int | None) -> int | None:
    """The timeout that a caller asks for, else the config's; None, torch's own, where neither is said."""
    said = os.environ.get(VARIABLE)
    if asked is not None or not said:
        return asked
    logger.info("the process group's timeout is actor_rollout_ref.nccl_timeout, %s", said)
    return int(said.removesuffix(" s"))


def install() -> None:
    """Wrap verl's initialiser; a second call does nothing. On a CPU cpu/process_group.py has wrapped it already."""

    def with_timeout(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def initialize(timeout_second: int | None = None, backend: str | None = None) -> Any:
            return original(timeout_second=seconds(timeout_second), backend=backend)

        return initialize

    replace_once(distributed, "initialize_global_process_group_ray", with_timeout)
