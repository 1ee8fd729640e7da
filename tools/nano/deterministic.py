"""Training that gives the same weights each time, on one kind of processor and with the pinned packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic() -> Iterator[None]:
    """One thread and deterministic algorithms: sums are taken in the same order every time.

    How a sum is divided among threads changes its rounding, so the number of threads must not depend on the machine or
    on what else runs.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Only hides reads of uninitialised memory, of which there are none, at thousands of fills a step.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fills
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)
