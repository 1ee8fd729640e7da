"""Signal `exact`: the answer is the reference or one of its accepted wordings. A monitor; its weight is 0.

It is deliberately no part of the reward: a policy that learns to please judge or embedder without answering better
shows as a gap between them and this.
"""

from __future__ import annotations

from medix_r1.bounded_cache import bounded_cache
from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.rewards.base import Sample, Score

_NOTHING = Score(0.0, "nothing to grade")


class ExactMatch:
    """String match after normalisation, against the reference and the row's accepted wordings."""

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        return _NOTHING if answer is None else _compare(answer, sample.reference.answer, sample.accepted)


@bounded_cache
def _compare(answer: str, reference: str, others: tuple[str, ...]) -> Score:
    if not is_gradable(answer):
        return _NOTHING
    accepted = {normalize_answer(text) for text in (reference, *others)}
    return Score(float(normalize_answer(answer) in accepted), f"{len(accepted)} accepted wordings")
