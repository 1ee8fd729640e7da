"""The journal of a phase: one JSON line for each finished sample, appended at once, so that a killed run resumes.

A torn or unreadable line counts as not done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from medix_r1.errors import DataError


class Journal:
    """An append-only file of JSON lines, each with the `id` of its sample; the last line of an id wins.

    Writing needs `with`. There is one writer at a time, because the result folder is locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def read(self) -> dict[str, dict[str, Any]]:
        """Every whole line, by its id."""
        if not self.path.exists():
            return {}
        entries: dict[str, dict[str, Any]] = {}
        for line in self.path.read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
                entries[entry["id"]] = entry
            except (ValueError, TypeError, KeyError):
                continue  # torn or damaged: not done
        return entries

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")  # the next line must not continue a torn one
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def append(self, entry: dict[str, Any]) -> None:
        """Append one line; a partly written line is truncated away.

        Raises:
            DataError: the line cannot be written, for instance because the disk is full.
        """
        assert self._handle is not None, "Journal.append outside of `with`"
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        size = os.fstat(self._handle).st_size
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError("no space for a whole line")
        except OSError as error:
            os.ftruncate(self._handle, size)
            raise DataError(
                f"{self.path} cannot be written: {error}; make room and run the same command", code="not-written"
            ) from error
