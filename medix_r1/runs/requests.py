"""Requests to a running job: checkpoint now, validate now, stop after this step.

A request is an empty file in `RUN/requests/`. The trainer reads the folder at the end of each step and removes a
request once it has carried it out, so a request that is made twice before that is carried out once. `touch
RUN/requests/stop` on any machine that shares the folder does the same as the command.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from medix_r1.errors import ConfigError
from medix_r1.runs.folder import RunFolder, read_lines

Request = Literal["checkpoint", "validate", "stop"]
REQUESTS: tuple[Request, ...] = ("checkpoint", "validate", "stop")


def ask(run: Path, request: str) -> None:
    """Request something of the job that trains in `run`.

    Raises:
        ConfigError: there is no such request, no run, or the run has ended.
    """
    if request not in REQUESTS:
        raise ConfigError.of(str(request), "no-such-request", f"no such request; known: {', '.join(REQUESTS)}")
    if not (run / "config.yaml").is_file():
        raise ConfigError.of(str(run), "no-run-there", "no run there (no config.yaml)")
    if (how := ending(RunFolder(run))) is not None:
        says = (
            f"the run has {how}, so nobody would do it; the same `medix-r1 train` command goes on where steps are left"
        )
        raise ConfigError.of(str(run), "run-has-ended", says)
    folder = _folder(run)
    folder.mkdir(exist_ok=True)
    (folder / request).touch()


def ending(run: RunFolder) -> str | None:
    """How a run ended; None while a process holds its lock, and where it ended without a word.

    The latter may be a run on another machine, whose lock cannot be seen here.
    """
    events = list(read_lines(run.events)) if run.events.is_file() else []
    words = {"finished": "finished", "stopped": "stopped", "error": "failed"}
    return words.get(events[-1]["event"]) if events and not run.is_locked() else None


def pending(run: Path) -> set[Request]:
    """The requests to a run that it has not carried out."""
    return {request for request in REQUESTS if (_folder(run) / request).exists()}


def clear(run: Path, requests: Collection[Request]) -> None:
    """Remove requests that were carried out, or that an earlier attempt left."""
    for request in requests:
        with contextlib.suppress(FileNotFoundError):
            (_folder(run) / request).unlink()


def _folder(run: Path) -> Path:
    return run / "requests"
