"""Reproducible training: the same weights each time, on one kind of processor and with the pinned packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic() -> Iterator[None]:
    """Use one thread and deterministic algorithms, so that sums are always computed in the same order.

    The number of threads changes the rounding of sums, so it must not depend on the machine or its load.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Filling only matters for reads of uninitialised memory, which do not occur, and costs thousands of fills a step.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fills
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)
