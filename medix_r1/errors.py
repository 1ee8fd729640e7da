"""The errors a user can meet. They cross process borders (Ray, multiprocessing), so each must pickle.

MedixError
├── ConfigError(ValueError)           wrong settings, all of them listed together
├── DataError(ValueError)             a row or file is not what it should be
├── ServerError(RuntimeError)         a server of ours did not start, or died
├── JudgeError(RuntimeError)          no verdict; never a score
│   ├── JudgeUnavailable              the server cannot be reached now; waiting may help
│   │   └── BudgetSpent               the cost cap is reached; ends the run as a lost server does
│   └── JudgeRejected                 this request can never be answered; waiting will not help
├── EmbedderError(RuntimeError)       no embedding; never a score
│   └── EmbedderRejected              this text can never be embedded; waiting will not help
├── RewardError(RuntimeError)         a reward function broke its contract; never a score
├── TrainingError(RuntimeError)       the training run failed
│   └── NothingToTrainOn              refills reached their limit; ends the run as a lost server does
├── EvaluationError(RuntimeError)     a phase of an evaluation cannot go on, or its folder is in use
└── CheckpointError(ValueError)       a checkpoint is missing, incomplete or not ours
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


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
        return f"{self.key}: {self.text}" if self.key else self.text

    def below(self, prefix: str) -> Problem:
        """The same problem seen from a node further up, whose key goes in front."""
        return replace(self, key=f"{prefix}{self.key}")

    def and_also(self, remark: str) -> Problem:
        """The same problem with a remark in brackets behind it."""
        return replace(self, text=f"{self.text} ({remark})")


class MedixError(Exception):
    """Root of every error this package raises on purpose.

    Args:
        message: what people read; it may be reworded.
        code: the kind of error, as in `Problem`.
    """

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ConfigError(MedixError, ValueError):
    """Wrong settings, every problem of them."""

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
    """A row or a file is not what it should be; `problems` where several are told together."""

    problems: tuple[Problem, ...] = ()

    @classmethod
    def listing(cls, problems: Sequence[Problem], *, code: str) -> DataError:
        """An error that tells several problems, one a line."""
        error = cls("\n".join(map(str, problems)), code=code)
        error.problems = tuple(problems)
        return error


class ServerError(MedixError, RuntimeError):
    """A server that this program starts did not come up, or died."""


class JudgeError(MedixError, RuntimeError):
    """The judge gave no verdict. This is never a score of 0."""


class JudgeUnavailable(JudgeError):
    """The judge cannot be reached at the moment; the same call may succeed later."""


class BudgetSpent(JudgeUnavailable):
    """The cost cap of a paid server is reached. The run ends as with a lost server: a checkpoint, then exit code 1."""


class JudgeRejected(JudgeError):
    """The judge will never answer this call (too long, refused, unreadable after retries)."""

    status: int | None = None  # of HTTP, when the server refused


class EmbedderError(MedixError, RuntimeError):
    """The embedder gave no vector. This is never a score of 0."""


class EmbedderRejected(EmbedderError):
    """The embedder will never take this text (too long, refused)."""

    status: int | None = None  # of HTTP, when the server refused


class RewardError(MedixError, RuntimeError):
    """A reward raised, or returned what is no score in [0, 1]. Where it counts, a run stops for it."""


class TrainingError(MedixError, RuntimeError):
    """A training run failed."""


class NothingToTrainOn(TrainingError):
    """Prompts were generated anew up to the limit, and still no batch differs in its rewards and could be judged."""


class EvaluationError(MedixError, RuntimeError):
    """A phase of an evaluation cannot go on, or another command works in its folder."""


class CheckpointError(MedixError, ValueError):
    """A checkpoint is missing, incomplete or not of this run."""
