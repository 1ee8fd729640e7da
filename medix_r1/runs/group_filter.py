"""Dynamic sampling's rule: which finished groups are dropped (DAPO, arXiv 2503.14476, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIN_GROUP = 2  # unmasked rollouts; the advantage of a single one would be its raw reward


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Dynamic sampling: which finished prompt groups are dropped and replaced by new prompts.

    Attributes:
        signal: part of the reward whose values decide.
        low, high: a group stays when its mean lies strictly between; None is no bound. Equal values always drop it.
    """

    signal: str
    low: float | None = None
    high: float | None = None

    def drops(self, values: Sequence[float]) -> bool:
        """Whether to drop a group with these values of its unmasked rollouts."""
        if len(values) < MIN_GROUP or min(values) == max(values):
            return True
        mean = sum(values) / len(values)
        return not (self.low is None or mean > self.low) or not (self.high is None or mean < self.high)
