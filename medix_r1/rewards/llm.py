"""Signal `llm`: 1 when the judge says that the answer means the same as the reference."""

from __future__ import annotations

from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.models.judge import Judge, Question
from medix_r1.rewards.base import Sample, Score


class JudgeReward:
    """Asks the judge, unless the case is plain: an exact match is right and an ungradable answer wrong without a call.

    Args:
        judge: gives the verdicts; its failures pass through as `JudgeError`.
        give_choices: show the judge the options of a multiple-choice question.
        give_images: show the judge the images of the question; it must be a model that sees.
    """

    def __init__(self, *, judge: Judge, give_choices: bool = True, give_images: bool = False) -> None:
        self.judge, self.give_choices, self.wants_images = judge, give_choices, give_images

    async def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if answer is None or not is_gradable(answer):
            return Score(0.0, "nothing to grade")
        if normalize_answer(answer) == normalize_answer(sample.reference.answer):
            return Score(1.0, "exact match")
        question = Question(
            sample.question,
            sample.reference.answer,
            answer,
            choices=sample.choices if self.give_choices else (),
            images=sample.images if self.wants_images else (),
        )
        verdict = await self.judge.judge(question)
        said = "" if verdict.probability is None else f", P(YES) {verdict.probability:.3f}"
        return Score(verdict.score, f"judge: {verdict.reply.strip()[:80]}{said}")

    def statistics(self) -> dict[str, float]:
        """Counts and times of the judge, by name."""
        return self.judge.statistics()
