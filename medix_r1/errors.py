"""The errors of this package. Ray and multiprocessing pickle them, so every class must support that.

MedixError
├── ConfigError(ValueError)           wrong settings, all of them listed together
├── DataError(ValueError)             a row or file is invalid
├── ServerError(RuntimeError)         a server that we started did not come up, or died
├── JudgeError(RuntimeError)          no verdict; the sample is masked, never scored 0
│   ├── JudgeUnavailable              no server answers; stops the run
│   │   └── BudgetSpent               the cost cap is reached; stops the run
│   └── JudgeRejected                 this question will never be answered
├── EmbedderError(RuntimeError)       no embedding, for any text; stops the run
│   └── EmbedderRejected              this text will never be embedded
├── RewardError(RuntimeError)         a reward function broke its contract; stops the run
│   ├── RewardTimeout                 it took too long for this reply
│   └── LeftItsGroup                  its group was scored without this rollout
├── TrainingError(RuntimeError)       the training run failed
│   └── NothingToTrainOn              refills reached their limit; stops the run
├── EvaluationError(RuntimeError)     a phase of an evaluation cannot go on, or its folder is in use
└── CheckpointError(ValueError)       a checkpoint is missing, incomplete or not ours
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting. The text is for people and may be reworded; key and code are what programs rely on.

    Attributes:
        key: what has to be changed: a dotted config key, an option, or a file; empty where it is none of them.
        code: the kind of problem, the same for all values: lower-case words joined by hyphens.
        text: what is wrong and what to do, without the key.
    """

    key: str
    code: str
    text: str

    def __str__(self) -> str:
        text = f"{self.key}: {self.text}" if self.key else self.text
        return " ".join(text.splitlines())  # a value that was typed may hold line breaks

    def below(self, prefix: str) -> Problem:
        """The same problem with a prefix before its key."""
        return replace(self, key=f"{prefix}{self.key}")

    def and_also(self, remark: str) -> Problem:
        """The same problem with a remark in brackets after its text."""
        return replace(self, text=f"{self.text} ({remark})")


class MedixError(Exception):
    """Base class of all errors of this package.

    Args:
        message: what people read; it may be reworded.
        code: the kind of error, as in `Problem`.
    """

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def from_problem(cls, problem: Problem) -> Self:
        """An error with a problem's text and code."""
        return cls(problem.text, code=problem.code)


class ConfigError(MedixError, ValueError):
    """Wrong settings: all problems together."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)), code="config")

    @classmethod
    def of(cls, key: str, code: str, text: str) -> ConfigError:
        """An error with one problem."""
        return cls([Problem(key, code, text)])

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class DataError(MedixError, ValueError):
    """A row or a file is invalid; `problems` is filled where several are reported together."""

    problems: tuple[Problem, ...] = ()

    @classmethod
    def listing(cls, problems: Sequence[Problem], *, code: str) -> DataError:
        """An error with several problems, one a line."""
        error = cls("\n".join(map(str, problems)), code=code)
        error.problems = tuple(problems)
        return error


class ServerError(MedixError, RuntimeError):
    """A server that we started did not come up, or died."""


class JudgeError(MedixError, RuntimeError):
    """The judge gave no verdict. The sample is masked, never scored 0."""


class JudgeUnavailable(JudgeError):
    """The judge's servers failed for longer than the retry policy allows; the run stops."""


class BudgetSpent(JudgeUnavailable):
    """The cost cap of a paid server is reached. The run saves a checkpoint and stops with exit code 1."""


class JudgeRejected(JudgeError):
    """The judge will never answer this question (too long, refused, unreadable after retries); it masks its sample."""

    status: int | None = None  # HTTP status, if the server refused


class EmbedderError(MedixError, RuntimeError):
    """The embedder fails for every text; the run stops."""


class EmbedderRejected(EmbedderError):
    """The embedder will never take this text (too long, refused); it masks its sample."""

    status: int | None = None  # HTTP status, if the server refused


class RewardError(MedixError, RuntimeError):
    """A reward function raised, or returned no score in [0, 1]. If its signal has weight, the run stops."""


class RewardTimeout(RewardError):
    """A reward function took too long for this reply, which is masked and never scored 0."""


class LeftItsGroup(RewardError):
    """The group of a rollout was scored without it; only this sample is lost."""


class TrainingError(MedixError, RuntimeError):
    """A training run failed."""


class NothingToTrainOn(TrainingError):
    """After the maximum number of refills, there were still too few groups with different rewards for a batch."""


class EvaluationError(MedixError, RuntimeError):
    """A phase of an evaluation failed, or another command uses its folder."""


class CheckpointError(MedixError, ValueError):
    """A checkpoint is missing, incomplete or not of this run."""
