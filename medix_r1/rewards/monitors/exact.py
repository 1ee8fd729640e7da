"""Monitor `exact`: 1 when the answer is the reference or one of its accepted wordings.

It has no weight on purpose: when a policy learns to fool the judge or the embedder, their scores rise and this one does
not.
"""

from __future__ import annotations

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import is_gradable, normalize_answer

_NOTHING = Score(0.0, "nothing to grade")
_NO_REFERENCE = Score(None, "the row has no reference, but a rubric")


class ExactMatch:
    """String match after normalisation, against the reference and the row's accepted wordings."""

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if sample.rubric and not sample.reference.answer:
            return _NO_REFERENCE
        return _NOTHING if answer is None else _compare(answer, sample.reference.answer, sample.accepted)


@bounded_cache
def _compare(answer: str, reference: str, others: tuple[str, ...]) -> Score:
    if not is_gradable(answer):
        return _NOTHING
    accepted = {normalize_answer(text) for text in (reference, *others)}
    return Score(float(normalize_answer(answer) in accepted), f"{len(accepted)} accepted wordings")
