"""The result of evaluating a policy, stored as before.json and after.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medix_r1.errors import DataError
from medix_r1.host.files import atomic_write

SETS: Mapping[str, str] = {
    "heldout_views": "new views of pictures that are trained on",
    "heldout_sources": "pictures never trained on",
}
DECODINGS: Mapping[str, str] = {"sampled": "T=1, n=5", "greedy": "greedy"}


@dataclass(frozen=True, slots=True)
class SignalMean:
    """Mean of one signal over the replies that have a value, and the share of replies without one."""

    mean: float | None
    masked_share: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> SignalMean:
        known = [value for value in values if value is not None]
        return cls(sum(known) / len(known) if known else None, 1.0 - len(known) / len(values) if values else 0.0)


@dataclass(frozen=True, slots=True)
class Decoded:
    """All replies of one decoding.

    Attributes:
        replies: number of replies.
        signals: the reward (`overall`) and its parts before weighting.
        shuffled_exact: exact accuracy when each question is shown another row's picture.
    """

    replies: int
    signals: Mapping[str, SignalMean]
    shuffled_exact: float


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the policy's answers; the choice does not depend on the answers."""

    row_id: str
    question: str
    modality: str
    accepted: Sequence[str]
    greedy: str
    sampled: Sequence[str]


@dataclass(frozen=True, slots=True)
class SetResult:
    """One held-out set."""

    rows: int
    decoded: Mapping[str, Decoded]
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One policy on all held-out sets."""

    model: str
    judge: str
    embedder: str
    seed: int
    machine: str
    seconds: float
    sets: Mapping[str, SetResult]

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        atomic_write(path, json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n")


def read_evaluation(path: Path) -> Evaluation:
    """Read what `Evaluation.write` wrote.

    Raises:
        DataError: the file is missing or is not an evaluation.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Evaluation(**{**content, "sets": {name: _set(value) for name, value in content["sets"].items()}})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not an evaluation of `medix-r1 demo evaluate` ({error})", code="not-an-evaluation"
        ) from error


def _set(content: Mapping[str, Any]) -> SetResult:
    decoded = {
        name: Decoded(**{**value, "signals": {k: SignalMean(**v) for k, v in value["signals"].items()}})
        for name, value in content["decoded"].items()
    }
    return SetResult(content["rows"], decoded, [Example(**example) for example in content["examples"]])
