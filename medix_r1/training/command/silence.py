"""Notices that a run is stuck although all its processes live, and ends it with the place where each of them waits.

Rollouts have a limit of their own (`run.stall_limit`). Start, weight sync, update and save have none in verl, whose
collectives wait for hours. The supervisor waits for nobody, so it looks: a run that lives writes events, samples,
metrics and checkpoints. Its log says nothing of this, since those who wait say so in it again and again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from medix_r1.errors import TrainingError
from medix_r1.runs import stacks
from medix_r1.runs.folder import RunFolder

_INTERVAL = 5.0  # seconds between two looks
_ASLEEP = 60.0  # seconds between two looks that say that nobody looked
_ANSWERS = 2.0  # seconds the last process asked gets to write


class SilenceWatch:
    """Looks at what a run writes.

    Args:
        folder: the run's.
        limit: seconds without anything new until the run counts as stuck (`run.silence_limit`).
    """

    def __init__(self, folder: RunFolder, limit: float) -> None:
        self._folder, self._limit = folder, limit
        self._looked_at = self._changed_at = time.monotonic()
        self._seen = signs_of_life(folder)

    def check(self) -> None:
        """Look, unless that was done a moment ago.

        Raises:
            TrainingError: nothing has changed for `limit` seconds; where each process waits has been written.
        """
        now = time.monotonic()
        if now - self._looked_at < _INTERVAL:
            return
        if now - self._looked_at > _ASLEEP:
            self._changed_at = now  # this process was stopped, and so was the run, perhaps
        self._looked_at = now
        if (seen := signs_of_life(self._folder)) != self._seen:
            self._seen, self._changed_at = seen, now
        elif now - self._changed_at > self._limit:
            asked = stacks.write_stacks(self._folder)
            time.sleep(_ANSWERS)
            raise TrainingError(
                f"the run is stuck: no event, sample, metric or checkpoint for {self._limit:.0f} s "
                f"(run.silence_limit), and it has not ended by itself. Where {len(asked)} of them wait stands in "
                f"{self._folder.stacks}; the same command resumes from the last checkpoint.",
                code="run-silent",
            )


def signs_of_life(folder: RunFolder) -> frozenset[tuple[Path, int, int]]:
    """Size and time of everything that a living run adds to; a file of a shared folder may be a minute late."""
    return frozenset(_signs(folder))


def _signs(folder: RunFolder) -> Iterator[tuple[Path, int, int]]:
    # of the samples the folders alone, which change with each new file: there may be thousands, on a slow shared disk
    patterns = ("events.jsonl", "metrics/*", "samples/*", "checkpoints/*", "checkpoints/*/*/*")
    for pattern in patterns:
        for path in folder.root.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                yield path, found.st_size, found.st_mtime_ns
