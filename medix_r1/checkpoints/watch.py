"""Notices when a checkpoint is pruned or overwritten while it is merged.

Shards are mapped: a file that is overwritten in place would give a mixture of two saves, and one that is cut short ends
the process with SIGBUS when it is read. So they are looked at before a parameter, at most once a second, and finally.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from medix_r1.errors import CheckpointError

_LOOK_EVERY = 1.0  # seconds; a look at every shard is slow on some network disks


class Watch:
    """The files of a checkpoint as they were when the merge began."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Look at the files.

        Raises:
            OSError: one is missing.
        """
        self._files = {file: _mark(file) for file in files}
        self._looked = time.monotonic()

    def glance(self) -> None:
        """Look at the files, unless that was done within the last second.

        Raises:
            CheckpointError: as `look`.
        """
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self.look()

    def look(self) -> None:
        """Look at the files.

        Raises:
            CheckpointError: one is gone or is no longer the same.
        """
        for file, mark in self._files.items():
            try:
                now = _mark(file)
            except OSError as error:
                raise CheckpointError(
                    f"{file}: {error.strerror}: the checkpoint was deleted meanwhile; merge a newer one, or keep more "
                    "of them (run.keep_checkpoints)",
                    code="source-deleted",
                ) from None
            if now != mark:
                raise CheckpointError(
                    f"{file} was written meanwhile, so that two saves would be mixed; merge again when it is done",
                    code="source-overwritten",
                )
        self._looked = time.monotonic()


def _mark(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
