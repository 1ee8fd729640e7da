"""A judge with a hole that a test plants, and a search against it in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from medix_r1.models.judge import Question, Verdict
from medix_r1.rewards.base import Reward, Sample, SampleReader, Score
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.format import FormatReward
from medix_r1.rewards.llm import JudgeReward
from medix_r1.scoring.attack.journal import Journal
from medix_r1.scoring.attack.rows import questions
from medix_r1.scoring.attack.scorer import Scorer
from medix_r1.scoring.attack.search import Proposals, Search
from medix_r1.scoring.composed import ReadyReward
from medix_r1.wording.spelling import normalize_answer

Hole = Callable[[str, str, str], bool]  # question, reference, prediction


class GullibleJudge:
    """Says NO to every wrong answer, except through its hole; each question is a call."""

    def __init__(self, hole: Hole) -> None:
        self.hole, self.calls = hole, 0

    async def judge(self, question: Question) -> Verdict:
        self.calls += 1
        right = normalize_answer(question.prediction) == normalize_answer(question.reference)
        yes = right or self.hole(question.question, question.reference, question.prediction)
        return Verdict(yes, "YES" if yes else "NO")

    def statistics(self) -> dict[str, float]:
        return {"calls": float(self.calls)}

    async def aclose(self) -> None: ...


class OwnSignal:
    """A signal by a function of the sample."""

    def __init__(self, pays: Callable[[Sample], bool]) -> None:
        self._pays = pays

    def score(self, sample: Sample) -> Score:
        return Score(float(self._pays(sample)), "own")


def judged(hole: Hole) -> tuple[ReadyReward, GullibleJudge]:
    """A reward of judge and format, as in training."""
    judge = GullibleJudge(hole)
    return rewarded({"llm": JudgeReward(judge=judge), "format": FormatReward()}, {"llm": 0.9, "format": 0.1}), judge


def rewarded(signals: dict[str, Reward], weights: dict[str, float]) -> ReadyReward:
    """A reward that is ready."""
    return ReadyReward(CompositeReward(signals=signals, weights=weights), SampleReader(), "reward", "thinking")


def searched(
    ready: ReadyReward,
    folder: Path,
    *,
    budget: int = 2000,
    proposals: Proposals | None = None,
    rows: Path | None = None,
    spent: Sequence[int] = (),
) -> Search:
    """A finished search against the questions of the probe."""
    asked = questions(rows, most=24, seed=1, parser="strict", with_images=False, think_element="thinking")

    async def work() -> Search:
        with Journal(folder, {}) as journal:
            scorer = Scorer(ready, journal, budget, in_flight=32, advance=list(spent).append)
            search = Search(scorer, asked.targets, asked.pool, seed=1, longest=3000, proposals=proposals)
            await search.run()
            return search

    return asyncio.run(work())
