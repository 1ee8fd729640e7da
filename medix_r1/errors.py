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


class MedixError(Exception):
    """Root of every error this package raises on purpose."""


class ConfigError(MedixError, ValueError):
    """Wrong settings. `problems` holds one sentence each: what, the full key, what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class DataError(MedixError, ValueError):
    """A row or a file is not what it should be."""


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
