"""What `medix-r1 new` makes; apart, so that the command line imports nothing else for it."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What may be made."""

    REWARD = "reward"
    TASK = "task"
    ALGORITHM = "algorithm"
    RECIPE = "recipe"
