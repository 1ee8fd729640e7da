"""What a phase has done so far: one line of JSON a sample, appended as soon as the sample is through.

A process may die between two bytes. A line that was cut off, or that cannot be read, is work still owed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from medix_r1.errors import DataError


class Journal:
    """Append-only lines, each with the `id` of its sample; a later line of the same id counts.

    Used as a context manager while lines are written. One writer at a time: the run folder's lock sees to that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def read(self) -> dict[str, dict[str, Any]]:
        """Every whole line by its id."""
        if not self.path.exists():
            return {}
        entries: dict[str, dict[str, Any]] = {}
        for line in self.path.read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
                entries[entry["id"]] = entry
            except (ValueError, TypeError, KeyError):
                continue  # cut off, or damaged: owed
        return entries

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
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
        """Write one line; half of one is taken back.

        Raises:
            DataError: the line cannot be written, a full disk for instance.
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
