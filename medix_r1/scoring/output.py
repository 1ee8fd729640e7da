"""The output file of scores: an append-only journal, so that a stopped command resumes.

OUT.settings.json holds the settings that the scores depend on; other settings are refused. A row is done if the output
has a score for the hash of its content. A torn last line and rows without a score are scored again.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.host.files import atomic_file

_SYNC_EVERY = 2.0  # seconds between fsyncs: what a power cut may lose; a kill loses nothing that was flushed
_MAX_SHOWN = 5


class Output:
    """Scores on disk, locked for one process; used in a `with` block.

    Args:
        path: the file.
        settings: that the scores depend on.
        restart: discard existing scores.

    Raises:
        ConfigError: the file has scores of other settings, was not written by this verb, or another process writes it.
        DataError: the disk refuses.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, restart: bool = False) -> None:
        self.path, self._settings, self._restart = path, dict(settings), restart
        self._done: dict[int, int] | None = None
        self._hashes = np.empty(0, dtype=np.uint64)
        self._counts = np.empty(0, dtype=np.int64)
        self._file: IO[bytes] | None = None
        self._synced = 0.0

    @property
    def settings_path(self) -> Path:
        return self.path.with_name(self.path.name + ".settings.json")

    def __enter__(self) -> Output:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as refused:
                self._lock = refused.enter_context(self.settings_path.open("a+b"))
                self._take_lock()
                self._check_settings()
                self._load_done()
                self._file = self.path.open("ab")
                refused.pop_all()
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}", code="not-written") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.close()

    @property
    def done(self) -> int:
        """Number of rows that have a score."""
        return int(self._counts.sum())

    def times_done(self, content: int) -> int:
        """Number of rows with this content hash that have a score."""
        at = int(np.searchsorted(self._hashes, np.uint64(content)))
        return int(self._counts[at]) if at < len(self._hashes) and int(self._hashes[at]) == content else 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one row. It survives a kill of this process at once, and a power cut after about two seconds.

        Raises:
            DataError: the disk refuses; earlier rows stay.
        """
        assert self._file is not None
        try:
            self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
            self._file.flush()
            if time.monotonic() - self._synced > _SYNC_EVERY:
                self.sync()
        except OSError as error:
            raise DataError(
                f"{self.path}: {error.strerror}; the same command goes on from here", code="not-written"
            ) from error

    def sync(self) -> None:
        """Fsync the file."""
        assert self._file is not None
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError.of("--out", "in-use", f"another process is writing {self.path}") from None

    def _check_settings(self) -> None:
        self._lock.seek(0)
        text = self._lock.read()
        if self._restart or not (self.path.exists() and self.path.stat().st_size):
            self.path.unlink(missing_ok=True)
            self._lock.truncate(0)
            self._lock.write(json.dumps(self._settings, indent=1, sort_keys=True).encode() + b"\n")
            self._lock.flush()
            os.fsync(self._lock.fileno())
            return
        try:
            before = json.loads(text)
        except ValueError:
            before = None
        if not isinstance(before, dict):
            self._lock.close()
            if not text:
                self.settings_path.unlink()
            raise ConfigError.of(
                "--out", "not-ours", f"{self.path} is there and is no output of this verb; choose another file"
            )
        now = json.loads(json.dumps(self._settings))
        if changed := sorted(key for key in {*before, *now} if before.get(key) != now.get(key)):
            self._lock.close()
            found = [
                Problem(key, "scored-otherwise", f"it was scored with {before.get(key)!r}, now {now.get(key)!r}")
                for key in changed[:_MAX_SHOWN]
            ]
            if (more := len(changed) - _MAX_SHOWN) > 0:
                found.append(Problem("", "more-differ", f"and {more} more settings differ"))
            advice = f"{self.path} holds scores of other settings; choose another --out, or start over with --restart"
            raise ConfigError([*found, Problem("", "other-settings", advice)])

    def _load_done(self) -> None:
        """Count the scored rows; rewrite the file without torn and unscored rows if it has any."""
        contents, incomplete = array("Q"), False
        for _, record in read_output(self.path):
            if record is None or (record["overall"] is None and record["failure"] is not None):
                incomplete = True
            else:
                contents.append(int(record["content"], 16))
        if contents:
            values = np.frombuffer(contents, dtype=np.uint64)
            self._hashes, self._counts = np.unique(values, return_counts=True)
        if incomplete:
            with atomic_file(self.path) as temporary, temporary.open("wb") as file:
                for line, record in read_output(self.path):
                    if record is not None and (record["overall"] is not None or record["failure"] is None):
                        file.write(line)


def read_output(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield every line of an output with its parsed record; None for a torn last line.

    Raises:
        DataError: `medix-r1 reward score` did not write a line.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                yield line, None
                return
            try:
                record = json.loads(line)
                int(record["content"], 16)
                record["overall"], record["failure"]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path}:{number}: is not a line that `medix-r1 reward score` wrote", code="not-ours"
                ) from error
            yield line, record
