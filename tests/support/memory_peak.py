"""The most memory that this process and all it has started hold together, sampled while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

INTERVAL = 2.0  # seconds; a sample of thirty processes takes some tens of milliseconds


@dataclass
class MemoryPeak:
    """Bytes; pages that several processes share are counted once (PSS)."""

    held: int = 0


@contextmanager
def memory_peak() -> Iterator[MemoryPeak]:
    peak, done = MemoryPeak(), threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL):
            peak.held = max(peak.held, _held())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _held() -> int:
    this, held = psutil.Process(), 0
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.Error):  # it has ended meanwhile
            held += process.memory_full_info().pss
    return held
