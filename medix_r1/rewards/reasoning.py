"""Signal `reasoning`: the share of a reference rationale's steps that the think block supports, by the judge.

MedThink-Bench's LLM-w-Ref (models/rationale.py). It says nothing about the answer, and a right answer needs no such
reasoning; so it is a signal of its own, whose weight is 0 in configs/reward/reasoning.yaml.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from medix_r1 import prompts
from medix_r1.errors import ConfigError, DataError, JudgeRejected, Problem, RewardError
from medix_r1.models.rationale import PROMPT, step_criteria, steps_of
from medix_r1.models.rubric import Criterion, missing_marks
from medix_r1.models.verdict import Judge, Verdict
from medix_r1.rewards.base import Detail, Sample, Score, byte_limit_problems
from medix_r1.rewards.rubrics.asking import Asked, CriteriaAsker, Outcome, Trial
from medix_r1.rewards.rubrics.signal import rubric_score
from medix_r1.schema.kinds import Kind
from medix_r1.wording.spelling import is_gradable

_KEY = "reward.signals.reasoning"
_SAID = 80  # characters of a judge's reply in a reason
_NO_RATIONALE = Score(None, "the row has no rationale")
_NO_REASONING = Score(0.0, "there is no reasoning")


class ReasoningReward:
    """The share of the rationale's steps that the think block supports; each step is a question to the judge.

    Rows without a rationale have no value. A lost verdict masks only where it could change the value by more than
    `tolerance`, as for the signal `rubric`.

    Args:
        judge: gives the verdicts.
        prompt: file in `medix_r1/prompts/` that asks about one step.
        tolerance: how far apart the bounds of a value with lost verdicts may lie.
        give_question: show the judge the question.
        max_bytes: of the think block; of a longer one the judge reads the end. None: no limit.

    Raises:
        ConfigError: all problems of these settings.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        prompt: str = PROMPT,
        tolerance: Annotated[float, Kind(min=0, max=1)] = 0.0,
        give_question: bool = True,
        max_bytes: Annotated[int | None, Kind(min=1)] = 3000,
    ) -> None:
        template = prompts.load(prompt)
        problems = byte_limit_problems(f"{_KEY}.max_bytes", max_bytes)
        if not 0.0 <= tolerance <= 1.0:
            problems.append(Problem(f"{_KEY}.tolerance", "out-of-range", f"{tolerance} is not from 0 to 1"))
        if missing := missing_marks(template):
            says = f"'{prompt}' lacks {' and '.join(missing)}, so nobody could judge by it; use {PROMPT}"
            problems.append(Problem(f"{_KEY}.prompt", "no-marks", says))
        if problems:
            raise ConfigError(problems)
        self.judge, self._tolerance, self._give_question, self._max_bytes = judge, tolerance, give_question, max_bytes
        self._asker = CriteriaAsker(judge, template=template, per_call=1, trial=Trial(pairs=1, agreement=1.0))

    def score(self, sample: Sample) -> Any:
        """The score, at once where rules decide, else to be awaited."""
        by_rule = self.rule_score(sample)
        return by_rule if by_rule is not None else self._judged(sample)

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no judge; None when the judge has to be asked.

        Raises:
            RewardError: the row's rationale is none.
        """
        if not _steps(sample):
            return _NO_RATIONALE
        return None if is_gradable(sample.completion.think) else _NO_REASONING

    async def _judged(self, sample: Sample) -> Score:
        steps, (text, cut) = _steps(sample), self._shown(sample.completion.think or "")
        question = sample.question if self._give_question else ""
        outcomes = await self._asker.ask([Asked(question, text, step) for step in steps])
        details = [_detail(step, outcome) for step, outcome in zip(steps, outcomes, strict=True)]
        failure = next((str(one) for one in outcomes if isinstance(one, JudgeRejected)), "")
        found = rubric_score(details, self._tolerance, (), failure)
        told = f"{sum(one.met is True for one in details)} of {len(details)} steps of the rationale are supported"
        return replace(found, reason=f"{told}; the judge read the end of the reasoning" if cut else told)

    def _shown(self, think: str) -> tuple[str, bool]:
        """What the judge reads of the reasoning, and whether that is less than all."""
        encoded = prompts.neutralise(think, max_chars=len(think) * 20 + 1).encode()
        if self._max_bytes is None or len(encoded) <= self._max_bytes:
            return think, False
        return encoded[-self._max_bytes :].decode(errors="ignore"), True

    def statistics(self) -> dict[str, float]:
        """The judge's statistics, and counters of the steps."""
        asked = self._asker.statistics()
        return {**self.judge.statistics(), "steps": asked["criteria"], "steps_lost": asked["criteria_lost"]}


def _steps(sample: Sample) -> tuple[Criterion, ...]:
    try:
        return step_criteria(steps_of(list(sample.rationale) or None))
    except DataError as error:
        raise RewardError(str(error), code="wrong-rationale") from error


def _detail(step: Criterion, outcome: Outcome) -> Detail:
    if isinstance(outcome, Verdict):
        return Detail(step.text, outcome.matches, step.points, outcome.reply.strip()[:_SAID])
    return Detail(step.text, None, step.points, f"lost: {outcome}")
