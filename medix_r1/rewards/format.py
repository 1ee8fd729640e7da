"""Signal `format`: 1 when the reply is exactly tag, think block, answer block; 0 with the reasons otherwise."""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score


class FormatReward:
    """Does the reply follow the grammar?"""

    def score(self, sample: Sample) -> Score:
        problems = sample.completion.problems
        return Score(float(not problems), "; ".join(problems) or "well formed")
