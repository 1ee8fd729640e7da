"""Signal `exact`: the answer is the reference or one of its accepted wordings. A monitor; its weight is 0.

It is deliberately no part of the reward: a policy that learns to please judge or embedder without answering better
shows as a gap between them and this.
"""

from __future__ import annotations

from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.rewards.base import Sample, Score


class ExactMatch:
    """String match after normalisation, against the reference and the row's accepted wordings."""

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if answer is None or not is_gradable(answer):
            return Score(0.0, "nothing to grade")
        accepted = {normalize_answer(text) for text in (sample.reference.answer, *sample.accepted)}
        return Score(float(normalize_answer(answer) in accepted), f"{len(accepted)} accepted wordings")
