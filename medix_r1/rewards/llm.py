"""Signal `llm`: 1 when the judge says that the answer means the same as the reference."""

from __future__ import annotations

import asyncio
from typing import Annotated

from medix_r1.errors import ConfigError, Problem
from medix_r1.models.judge import Judge, Question, Verdict
from medix_r1.rewards.base import PendingScore, Sample, Score, byte_limit_problems, rule_score
from medix_r1.rewards.calibration import ABSTAINED
from medix_r1.schema.kinds import Kind
from medix_r1.wording.abstaining import abstains


class JudgeReward:
    """The judge's verdict on an answer, unless rules alone decide: 1 for an exact match, 0 for an ungradable answer.

    Args:
        judge: gives the verdicts; its `JudgeError`s are not caught here.
        prompt: name of a file in `medix_r1/prompts/` in place of the judge's own; None keeps the judge's own.
        give_question: show the judge the question.
        give_choices: show the judge the options of a multiple-choice question.
        give_images: show the judge the images of the question; it must be a vision-language model.
        max_bytes, refuse_echo: answers that score 0 without a call, as in `rule_score`.
        abstain: score of an answer that says it does not know (wording/abstaining.py) without a call, between wrong and
            right; None asks the judge. A reference that says so itself is left to the judge.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        prompt: str | None = None,
        give_question: bool = True,
        give_choices: bool = True,
        give_images: bool = False,
        max_bytes: Annotated[int | None, Kind(min=1)] = 3000,
        refuse_echo: bool = True,
        abstain: Annotated[float | None, Kind(min=0, max=1)] = None,
    ) -> None:
        problems = byte_limit_problems("reward.signals.llm.max_bytes", max_bytes)
        if abstain is not None and not 0.0 <= abstain <= 1.0:
            says = f"{abstain} is not from 0 (as wrong) to 1 (as right); null asks the judge"
            problems.append(Problem("reward.signals.llm.abstain", "out-of-range", says))
        if problems:
            raise ConfigError(problems)
        self.judge, self.give_choices, self.wants_images = judge, give_choices, give_images
        self.prompt, self.give_question = prompt, give_question
        self.max_bytes, self.refuse_echo = max_bytes, refuse_echo
        self._abstention = None if abstain is None else Score(abstain, "says that it does not know", {ABSTAINED: 1.0})

    def score(self, sample: Sample) -> Score | PendingScore[Verdict]:
        if (by_rule := self.rule_score(sample)) is not None:
            return by_rule
        question = Question(
            sample.question if self.give_question else "",
            sample.reference.answer,
            sample.completion.answer or "",
            choices=sample.choices if self.give_choices else (),
            images=sample.images if self.wants_images else (),
            prompt=self.prompt,
        )
        pending = self.judge.judge(question)
        return PendingScore(pending if isinstance(pending, asyncio.Future) else asyncio.ensure_future(pending), _score)

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no judge; None when the judge has to be asked."""
        found = rule_score(sample, max_bytes=self.max_bytes, refuse_echo=self.refuse_echo)
        if found is None and self._abstention is not None and abstains(sample.completion.answer or ""):
            return None if abstains(sample.reference.answer) else self._abstention
        return found

    def statistics(self) -> dict[str, float]:
        """The judge's statistics: name → count, or seconds for `latency_*`."""
        return self.judge.statistics()


def _score(verdict: Verdict) -> Score:
    said = f"judge: {verdict.reply.strip()[:80]}"
    if verdict.probability is None:
        return Score(float(verdict.matches), said)
    return Score(verdict.probability, f"{said}, P(YES) {verdict.probability:.3f}")
