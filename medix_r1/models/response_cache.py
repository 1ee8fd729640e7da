"""Response cache: in memory, and on disk when a folder is given.

The disk cache is diskcache (SQLite), which many processes may share. If it fails, for example on a full disk, the log
says so once and the cache goes on in memory; no response is lost.
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
_DISK_ERRORS = (OSError, sqlite3.Error, diskcache.Timeout, ValueError, TypeError)


class _PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache is untyped
    """Refuses pickled rows: unpickling a cache file that somebody else wrote could run code."""

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        if mode == diskcache.core.MODE_PICKLE:
            raise ValueError("a row of the cache is a pickle, which this program never wrote")
        return super().fetch(mode, filename, value, read)


class ResponseCache:
    """Caches responses by key.

    Args:
        size: responses in memory (LRU).
        path: folder of the disk cache, at most 8 GiB, or None.
    """

    def __init__(self, size: int, path: str | None) -> None:
        self.disk_hits = 0
        self._memory: LRUCache[bytes, Any] = LRUCache(size)
        self._disk: diskcache.Cache | None = None
        if path is not None:
            # SQLite blocks, so it runs in a thread, not in the event loop
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
            folder = str(Path(path).expanduser())
            try:
                self._disk = diskcache.Cache(folder, disk=_PlainDisk, size_limit=_DISK_LIMIT, timeout=10.0)
            except _DISK_ERRORS as error:
                logger.warning("answers are not kept on disk, in %s: %s", path, error)

    @property
    def on_disk(self) -> bool:
        """Whether there is a disk cache."""
        return self._disk is not None

    def get(self, key: bytes) -> Any | None:
        """The response in memory, or None."""
        return self._memory.get(key)

    async def get_from_disk(self, key: bytes) -> Any | None:
        """The response on disk, or None; it is put into memory, too."""
        response = await self._in_thread(lambda disk: json.loads(disk.get(key.hex(), "null")))
        if response is not None:
            self.disk_hits += 1
            self._memory[key] = response
        return response

    async def put(self, key: bytes, response: Any) -> None:
        """Cache a JSON-serialisable response."""
        self._memory[key] = response
        if self._disk is not None:
            text = json.dumps(response)
            await self._in_thread(lambda disk: disk.set(key.hex(), text))

    async def _in_thread(self, work: Any) -> Any:
        if self._disk is None:
            return None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._disk)
        except _DISK_ERRORS as error:
            if self._disk is not None:  # log once, even if several calls fail together
                logger.warning("answers are no longer kept on disk: %s", error)
                self._disk = None
            return None

    def close(self) -> None:
        """Close the disk cache."""
        if self._disk is not None:
            self._thread.shutdown()
            self._disk.close()
