"""What was tried, on disk: one line a reply, so that the same command goes on and asks for nothing twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from medix_r1.errors import ConfigError, DataError
from medix_r1.host.files import atomic_write

TRIED = "tried.jsonl"
_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reward gave for one reply.

    Attributes:
        total: the reward; None when unscored.
        parts: part → value.
        weights: part → effective weight.
        failure: why it is unscored.
    """

    total: float | None
    parts: Mapping[str, float | None]
    weights: Mapping[str, float]
    failure: str | None = None


class Journal:
    """The outcomes so far, tied to the settings that they depend on; locked for one process in a `with` block.

    Args:
        folder: of the result.
        settings: dotted key → value; a folder with other settings is refused.
        restart: throw away what was tried before.

    Raises:
        ConfigError: the folder holds outcomes of other settings, is not ours, or another process uses it.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, restart: bool = False) -> None:
        self.path, self._settings, self._restart = folder / TRIED, settings, restart
        self.outcomes: dict[str, Outcome] = {}
        self.calls = 0  # of the judge, by all commands so far
        self.said: dict[str, Any] = {}  # what a proposing model said, by the number of the question
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self.path.with_name(f".{TRIED}.lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError.of("--out", "in-use", f"another process is writing {self.path}") from None
            if self._restart:
                self.path.unlink(missing_ok=True)
            self._load()
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}", code="not-written") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def _load(self) -> None:
        head = {"settings": json.loads(json.dumps(self._settings, sort_keys=True))}
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.exists() else []
        if lines:
            self._refuse_others(lines[0], head["settings"])
        kept = [json.dumps(head)]
        for line in lines[1:]:
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue  # torn by a kill: it is asked again
            kept.append(line)
        atomic_write(self.path, "".join(f"{line}\n" for line in kept))

    def _refuse_others(self, line: str, now: Mapping[str, Any]) -> None:
        try:
            before = json.loads(line)["settings"]
        except (ValueError, KeyError, TypeError):
            says = f"{self.path} is there and was not written by this verb; choose another folder, or --restart"
            raise ConfigError.of("--out", "not-ours", says) from None
        if changed := sorted(key for key in {*before, *now} if before.get(key) != now.get(key)):
            says = f"{self.path} was written with other settings ({', '.join(changed[:_MAX_SHOWN])}); "
            raise ConfigError.of("--out", "other-settings", f"{says}choose another --out, or start over with --restart")

    def _take(self, line: Mapping[str, Any]) -> None:
        if "said" in line:
            self.said[line["question"]] = line["said"]
        elif "calls" in line:
            self.calls += int(line["calls"])
        else:
            self.outcomes[line["key"]] = Outcome(line["total"], line["parts"], line["weights"], line["failure"])

    def add(self, key: str, outcome: Outcome, about: Mapping[str, Any]) -> None:
        """Keep one outcome; it is in the file when this returns."""
        self.outcomes[key] = outcome
        fields = {"total": outcome.total, "parts": dict(outcome.parts), "weights": dict(outcome.weights)}
        self._write({"key": key, **about, **fields, "failure": outcome.failure})

    def spend(self, calls: int) -> None:
        """Count calls of the judge."""
        if calls:
            self.calls += calls
            self._write({"calls": calls})

    def keep_said(self, question: str, said: Any) -> None:
        """Keep what a proposing model said."""
        self.said[question] = said
        self._write({"question": question, "said": said})

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        try:
            self._file.write(json.dumps(line) + "\n")  # ASCII only: replies may hold lone surrogates
            self._file.flush()
        except OSError as error:
            says = f"{self.path}: {error.strerror}; the same command goes on from here"
            raise DataError(says, code="not-written") from error


def key_of(target: str, reply: str) -> str:
    """Identity of a reply to a question."""
    return hashlib.sha256(f"{target}\0{reply}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
