"""Answers whose case is plain: right or wrong without asking a judge or an embedder."""

from __future__ import annotations

from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.remembered import remembered
from medix_r1.rewards.base import Sample, Score

_NOTHING = Score(0.0, "nothing to grade")


def settle(sample: Sample, *, max_characters: int | None, refuse_echo: bool) -> Score | None:
    """Score an answer that needs nobody's opinion; None when somebody has to be asked.

    Args:
        sample: the rollout.
        max_characters: an answer longer than this and four times its reference is none: what a judge cannot read would
            otherwise be masked, and a policy could choose that over being wrong. None: no limit.
        refuse_echo: the question given back is no answer, however close it lies to one.
    """
    answer = sample.completion.answer
    if answer is None:
        return _NOTHING
    return _settle(answer, sample.reference.answer, sample.question if refuse_echo else None, max_characters)


@remembered  # judge and embedder both ask
def _settle(answer: str, reference: str, question: str | None, max_characters: int | None) -> Score | None:
    if not is_gradable(answer):
        return _NOTHING
    if max_characters is not None and len(answer) > max(max_characters, 4 * len(reference)):
        return Score(0.0, f"too long for an answer: {len(answer)} characters")
    given = normalize_answer(answer)
    if given == normalize_answer(reference):
        return Score(1.0, "exact match")
    if question is not None and given.rstrip("? ") == normalize_answer(question).rstrip("? "):
        return Score(0.0, "the question given back")
    return None
