"""Whether work grows in proportion to its input, whatever the machine and its load."""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUNDS = 30
_LIMIT = 10.0  # between 4, of work in proportion, and 16, of quadratic work
_FLOOR = 1e-3  # seconds; less is noise


def is_linear(work: Callable[[int], object], size: int) -> bool:
    """Whether four times the input takes about four times the processor time, and not sixteen times.

    Other processes can make any single run slower and none faster, so the quickest of several runs is compared: rounds
    go on until the ratio is near 4. Of quadratic work none ever is.

    Args:
        work: does the work on an input of the given size.
        size: of the smaller input.
    """
    small = large = float("inf")
    for _ in range(_ROUNDS):
        small, large = min(small, _seconds(work, size)), min(large, _seconds(work, 4 * size))
        if large < _LIMIT * max(small, _FLOOR):
            return True
    return False


def _seconds(work: Callable[[int], object], size: int) -> float:
    start = time.process_time()
    work(size)
    return time.process_time() - start
