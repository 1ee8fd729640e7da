"""Signal `format`: 1 when the reply is exactly tag, think block, answer block; 0 with the reasons otherwise."""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score

_WELL_FORMED = Score(1.0, "well formed")


class FormatReward:
    """1 for a reply that the parser finds no problem with, else 0."""

    def score(self, sample: Sample) -> Score:
        problems = sample.completion.problems
        return Score(0.0, "; ".join(problems)) if problems else _WELL_FORMED
