"""Answers that are kept: in memory always, on disk when a folder is given.

The disk part is diskcache (SQLite), which many processes may share. What it cannot do, such as write to a full disk, is
said once in the log and costs nothing but the saving: a cache is never a reason to lose an answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache
from cachetools import LRUCache

logger = logging.getLogger(__name__)

_DISK_LIMIT = 8 * 1024**3
_DISK_TROUBLE = (OSError, sqlite3.Error, diskcache.Timeout, ValueError, TypeError)


class _PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache is untyped
    """Rows of plain text only: a cache file that somebody else wrote must not run code through pickle."""

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        if mode == diskcache.core.MODE_PICKLE:
            raise ValueError("a row of the cache is a pickle, which this program never wrote")
        return super().fetch(mode, filename, value, read)


class Answers:
    """Answers by key.

    Args:
        size: answers kept in memory, the least recently used going first.
        path: folder of the disk cache, or None.
    """

    def __init__(self, size: int, path: str | None) -> None:
        self.disk_hits = 0
        self._memory: LRUCache[bytes, Any] = LRUCache(size)
        self._disk: diskcache.Cache | None = None
        if path is not None:
            # SQLite blocks; one thread keeps that out of the event loop
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
            folder = str(Path(path).expanduser())
            try:
                self._disk = diskcache.Cache(folder, disk=_PlainDisk, size_limit=_DISK_LIMIT, timeout=10.0)
            except _DISK_TROUBLE as error:
                logger.warning("answers are not kept on disk, in %s: %s", path, error)

    @property
    def on_disk(self) -> bool:
        """Whether answers are kept on disk as well."""
        return self._disk is not None

    def get(self, key: bytes) -> Any | None:
        """The answer kept in memory, or None."""
        return self._memory.get(key)

    async def find(self, key: bytes) -> Any | None:
        """The answer kept on disk, or None; it is in memory afterwards."""
        answer = await self._on_disk(lambda disk: json.loads(disk.get(key.hex(), "null")))
        if answer is not None:
            self.disk_hits += 1
            self._memory[key] = answer
        return answer

    async def keep(self, key: bytes, answer: Any) -> None:
        """Keep an answer that JSON can hold."""
        self._memory[key] = answer
        if self._disk is not None:
            text = json.dumps(answer)
            await self._on_disk(lambda disk: disk.set(key.hex(), text))

    async def _on_disk(self, work: Any) -> Any:
        if self._disk is None:
            return None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._disk)
        except _DISK_TROUBLE as error:
            if self._disk is not None:  # said once, however many were on their way
                logger.warning("answers are no longer kept on disk: %s", error)
                self._disk = None
            return None

    def close(self) -> None:
        """Let go of the disk."""
        if self._disk is not None:
            self._thread.shutdown()
            self._disk.close()
