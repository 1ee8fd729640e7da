"""Monitor `diversity`: how many different answers a group has; 1 when no two are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import normalize_answer


class DiversityMonitor:
    """Share of the other replies of its group whose answer differs from this one's, by the words of the answer.

    Its mean over a group is the chance that two of its replies differ. It falls to 0 while a policy collapses, and does
    not apply to a reply without an answer.
    """

    needs_group = True

    def score_group(self, samples: Sequence[Sample]) -> list[Score]:
        """Score a group of at least two; the further number `answers` counts the different ones."""
        answers = [sample.completion.answer and normalize_answer(sample.completion.answer) for sample in samples]
        counts = Counter(answer for answer in answers if answer)
        total = counts.total()
        return [self._score(counts, total, answer) for answer in answers]

    def _score(self, counts: Counter[str], total: int, answer: str | None) -> Score:
        if not answer:
            return Score(None, "no answer")
        if total < 2:
            return Score(None, "the only answer of its group")
        same = counts[answer] - 1
        return Score(1 - same / (total - 1), f"{same} of {total - 1} others are equal", {"answers": float(len(counts))})
