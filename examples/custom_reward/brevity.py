"""A signal of your own: one class with one method. This one prefers short answers."""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score


class Brevity:
    """1 for an answer of at most `words` words, falling to 0 at twice as many.

    Args:
        words: length up to which an answer is not too long.
    """

    def __init__(self, *, words: int) -> None:
        self.words = words

    async def score(self, sample: Sample) -> Score:
        if sample.completion.answer is None:
            return Score(0.0, "nothing to grade")
        length = len(sample.completion.answer.split())
        return Score(min(1.0, max(0.0, 2.0 - length / self.words)), f"{length} words")
