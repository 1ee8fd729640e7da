"""Signal `llm`: 1 when the judge says that the answer means the same as the reference."""

from __future__ import annotations

from typing import Protocol

from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.models.judge import Question, Verdict
from medix_r1.rewards.base import Sample, Score


class Judge(Protocol):
    """Anything that gives verdicts."""

    async def judge(self, question: Question) -> Verdict: ...


class JudgeReward:
    """Asks the judge, unless the case is plain: an exact match is right and an ungradable answer wrong without a call.

    Args:
        judge: gives the verdicts; its failures pass through as `JudgeError`.
    """

    def __init__(self, *, judge: Judge) -> None:
        self._judge = judge

    async def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if answer is None or not is_gradable(answer):
            return Score(0.0, "nothing to grade")
        if normalize_answer(answer) == normalize_answer(sample.reference.answer):
            return Score(1.0, "exact match")
        verdict = await self._judge.judge(Question(sample.question, sample.reference.answer, answer))
        return Score(float(verdict.matches), f"judge: {verdict.reply.strip()[:80]}")
