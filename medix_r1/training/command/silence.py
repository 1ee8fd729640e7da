"""Watchdog for a run that hangs although all its processes live: dumps their stacks and ends the run.

Rollouts have a limit of their own (`run.stall_limit`). Start, weight sync, update and save have none in verl, whose
collectives time out only after hours. So the supervisor looks for signs of life: events, samples, metrics and
checkpoints. The log is no sign of life, because waiting processes write to it, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from medix_r1.errors import TrainingError
from medix_r1.runs import stacks
from medix_r1.runs.folder import RunFolder

_INTERVAL = 5.0  # seconds between two checks
_SUSPENDED = 60.0  # seconds between two checks, from which on this process must have been suspended
_DUMP_TIME = 2.0  # seconds for the last process to write its stacks


class SilenceWatch:
    """Checks a run's folder for signs of life.

    Args:
        folder: the run's folder.
        limit: seconds without a change after which the run counts as stuck (`run.silence_limit`).
    """

    def __init__(self, folder: RunFolder, limit: float) -> None:
        self._folder, self._limit = folder, limit
        self._checked_at = self._changed_at = time.monotonic()
        self._seen = signs_of_life(folder)

    def check(self) -> None:
        """Check, at most once in 5 s.

        Raises:
            TrainingError: nothing has changed for `limit` seconds; the stacks of all processes were dumped.
        """
        now = time.monotonic()
        if now - self._checked_at < _INTERVAL:
            return
        if now - self._checked_at > _SUSPENDED:
            self._changed_at = now  # the run was perhaps suspended, too
        self._checked_at = now
        if (seen := signs_of_life(self._folder)) != self._seen:
            self._seen, self._changed_at = seen, now
        elif now - self._changed_at > self._limit:
            asked = stacks.write_stacks(self._folder)
            time.sleep(_DUMP_TIME)
            raise TrainingError(
                f"the run is stuck: no event, sample, metric or checkpoint for {self._limit:.0f} s "
                f"(run.silence_limit), and it has not ended by itself. Where {len(asked)} of them wait stands in "
                f"{self._folder.stacks}; the same command resumes from the last checkpoint.",
                code="run-silent",
            )


def signs_of_life(folder: RunFolder) -> frozenset[tuple[Path, int, int]]:
    """(path, size, mtime in ns) of all that a live run writes; on a shared file system it may be a minute late."""
    return frozenset(_signs(folder))


def _signs(folder: RunFolder) -> Iterator[tuple[Path, int, int]]:
    # Sample folders, not their files: a new file changes the folder's mtime, and there may be thousands of files.
    patterns = ("events.jsonl", "metrics/*", "samples/*", "checkpoints/*", "checkpoints/*/*/*")
    for pattern in patterns:
        for path in folder.root.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                yield path, found.st_size, found.st_mtime_ns
