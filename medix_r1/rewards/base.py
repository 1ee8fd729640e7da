"""The words that all rewards share: what is scored (`Sample`), and what comes out (`Score`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from medix_r1.grammar import Completion, Reference


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished rollout with everything a signal may look at."""

    completion: Completion
    reference: Reference
    question: str = ""
    source: str = ""
    has_image: bool = True
    cut: bool = False  # generation ended at the length limit
    accepted: tuple[str, ...] = field(default=())  # other wordings of the reference that count as right


@dataclass(frozen=True, slots=True)
class Score:
    """What one signal says.

    `value` is in [0, 1]; None means that the signal does not apply to this sample (its weight is shared out among the
    others). A signal that *failed* raises instead.
    """

    value: float | None
    reason: str


class Reward(Protocol):
    """One signal. The name of its file is the name of its metric."""

    async def score(self, sample: Sample) -> Score:
        """Score one rollout.

        Raises:
            JudgeError, EmbedderError: there is no score; the sample is masked, never scored 0.
        """
        ...
