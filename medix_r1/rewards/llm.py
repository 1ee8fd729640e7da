"""Signal `llm`: 1 when the judge says that the answer means the same as the reference."""

from __future__ import annotations

import asyncio

from medix_r1.models.judge import Judge, Question, Verdict
from medix_r1.rewards.base import Sample, Score, Started
from medix_r1.rewards.rule_scores import settle


class JudgeReward:
    """Asks the judge, unless the case is plain: an exact match is right and an ungradable answer wrong without a call.

    Args:
        judge: gives the verdicts; its failures pass through as `JudgeError`.
        give_choices: show the judge the options of a multiple-choice question.
        give_images: show the judge the images of the question; it must be a model that sees.
        max_bytes, refuse_echo: what is no answer at all (medix_r1/rewards/rule_scores.py).
    """

    def __init__(
        self,
        *,
        judge: Judge,
        give_choices: bool = True,
        give_images: bool = False,
        max_bytes: int | None = 3000,
        refuse_echo: bool = True,
    ) -> None:
        self.judge, self.give_choices, self.wants_images = judge, give_choices, give_images
        self.max_bytes, self.refuse_echo = max_bytes, refuse_echo

    def score(self, sample: Sample) -> Score | Started[Verdict]:
        if (settled := self.settled(sample)) is not None:
            return settled
        question = Question(
            sample.question,
            sample.reference.answer,
            sample.completion.answer or "",
            choices=sample.choices if self.give_choices else (),
            images=sample.images if self.wants_images else (),
        )
        pending = self.judge.judge(question)
        return Started(pending if isinstance(pending, asyncio.Future) else asyncio.ensure_future(pending), _score)

    def settled(self, sample: Sample) -> Score | None:
        """What rules alone say; None when the judge has to be asked."""
        return settle(sample, max_bytes=self.max_bytes, refuse_echo=self.refuse_echo)

    def statistics(self) -> dict[str, float]:
        """Counts and times of the judge, by name."""
        return self.judge.statistics()


def _score(verdict: Verdict) -> Score:
    said = f"judge: {verdict.reply.strip()[:80]}"
    if verdict.probability is None:
        return Score(float(verdict.matches), said)
    return Score(verdict.probability, f"{said}, P(YES) {verdict.probability:.3f}")
