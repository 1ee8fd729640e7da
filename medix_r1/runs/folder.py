"""A run's folder: its layout, and the events by which the run's processes report to the terminal.

    RUN/
      config.yaml            the resolved config of the newest attempt (no secrets: only names of variables)
      events.jsonl           one line per event, appended by any process
      run.lock               held by the process that is training here
      logs/attempt_001.log   output of verl, Ray and vLLM
      logs/stacks.txt        stack dumps of all processes, made when the run hangs or on request
      metrics/attempt_001.jsonl   verl's `file` tracker, one line a step
      tensorboard/           verl's TensorBoard tracker
      trackers.json          the run's names in W&B and MLflow, which later attempts go on with
      samples/{train,validation}/000012.jsonl   every rollout of a step with its reward; 000012.parquet is its index
      checkpoints/global_step_N/
      code/NAME_HASH.py      copies of the files of code that the config names, which is what runs

Standard library only, because the launcher and the supervisor import it, too.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRACEBACK = "--- the training process's traceback, and what others said after it ---"  # a line of its log


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def samples(self) -> Path:
        return self.root / "samples"

    def tokens(self, step: int) -> Path:
        """The tokens of a step (`run.samples.tokens`), from which its update can be done again."""
        return self.samples / "tokens" / f"{step:06d}.pt"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def trackers(self) -> Path:
        return self.root / "trackers.json"

    @property
    def attempts(self) -> int:
        """How often this run was started."""
        logs = (self.root / "logs").glob("attempt_*.log")
        return sum(path.stem.removeprefix("attempt_").isdigit() for path in logs)  # without the judge's logs

    def is_locked(self) -> bool:
        """Whether a process holds the run's lock; on a shared disk, locks of other machines may not be visible."""
        if not self.lock.exists():
            return False
        handle = os.open(self.lock, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(handle)

    def log(self, attempt: int) -> Path:
        return self.root / "logs" / f"attempt_{attempt:03d}.log"

    @property
    def stacks(self) -> Path:
        """The file of stack dumps (runs/stacks.py)."""
        return self.root / "logs" / "stacks.txt"

    def metrics(self, attempt: int) -> Path:
        return self.root / "metrics" / f"attempt_{attempt:03d}.jsonl"

    def create(self) -> None:
        """Create the folders."""
        for name in ("logs", "metrics", "samples", "tensorboard", "checkpoints"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def add_event(self, kind: str, **fields: Any) -> None:
        """Append one event in a single write, so that the lines of several processes do not interleave."""
        line = json.dumps({"time": time.time(), "event": kind, **fields}) + "\n"
        handle = os.open(self.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    @property
    def ended_by_itself(self) -> bool:
        """Whether the newest attempt trained all its steps: no failure, no kill, no `medix-r1 ask RUN stop`."""
        attempt: list[dict[str, Any]] = []
        for event in read_lines(self.events):
            attempt = [event] if event["event"] == "started" else [*attempt, event]
        stopped = any(event["event"] == "asked" and event["request"] == "stop" for event in attempt)
        return bool(attempt) and attempt[-1]["event"] == "finished" and not stopped

    def metrics_by_step(self) -> dict[int, dict[str, float]]:
        """Step → metrics over all attempts; for a step that was repeated after a kill, the last attempt wins."""
        steps: dict[int, dict[str, float]] = {}
        for path in sorted((self.root / "metrics").glob("attempt_*.jsonl")):
            for record in read_lines(path):
                steps.setdefault(int(record["step"]), {}).update(record["data"])
        return dict(sorted(steps.items()))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a JSON-lines file; a last line without a line break is still being written."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


class Follower:
    """Reads the lines that were appended to a JSON-lines file since the last call of `new`.

    Args:
        path: the file; it need not exist yet.
        from_end: skip what it holds now.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path, self._rest = path, b""
        self._offset = path.stat().st_size if from_end and path.exists() else 0

    def new(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line.strip()]


class WaitingHandler(logging.Handler):
    """Turns the warnings of a logger into `waiting` events, which the terminal shows."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(logging.WARNING)
        self._folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        self._folder.add_event("waiting", message=record.getMessage())
