"""What a rubric costs: calls for each different pair of criterion and answer, over HTTP, with the client's cache."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from medix_r1.models.judge import ChatJudge
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.rubrics.signal import RubricReward
from tests.support.criteria_stub import met, verdicts
from tests.support.judge_stub import MODEL, JudgeStub

WORDS = ("aspirin", "insulin", "rest", "ice", "surgery", "water", "fasting", "antibiotics")
RUBRIC: list[dict[str, Any]] = [{"criterion": f"Names {word}", "points": place + 1} for place, word in enumerate(WORDS)]
GROUPS, ROLLOUTS = 20, 8


def samples() -> list[Sample]:
    drawn = random.Random(1)
    found = []
    for group in range(GROUPS):
        answers = [f"take {drawn.choice(WORDS)} and {drawn.choice(WORDS)}" for _ in range(4)]
        for _ in range(ROLLOUTS):
            reply = f"<thinking>hm</thinking><answer>{drawn.choice(answers)}</answer>"
            question = f"What helps in case {group}?"
            found.append(SampleReader().read(reply, reference="", has_image=False, question=question, rubric=RUBRIC))
    return found


def different_pairs(given: list[Sample]) -> set[tuple[object, ...]]:
    return {(one.question, one.completion.answer, criterion["criterion"]) for one in given for criterion in RUBRIC}


@pytest.mark.parametrize(("per_call", "most"), [(1, 1.0), (4, 1.2), (8, 1.2)])
async def test_calls_for_each_pair_of_criterion_and_answer(per_call, most) -> None:
    with JudgeStub(verdicts) as stub:
        judge = ChatJudge(base_url=stub.address, model=MODEL)
        signal = RubricReward(judge=judge, per_call=per_call, trial=150, agreement=0.9)
        given = samples()
        scores = []
        for start in range(0, len(given), 4 * ROLLOUTS):
            scores += await asyncio.gather(*(signal.score(one) for one in given[start : start + 4 * ROLLOUTS]))
            pairs = different_pairs(given[: start + 4 * ROLLOUTS])
            assert len(stub.calls) <= most * len(pairs)  # from the first step on
        await judge.aclose()
        calls = len(stub.calls)
    if per_call > 1:
        assert signal.asker.trial.shown
        assert calls < 0.8 * len(pairs)  # later lists save more than the trial cost
    for one, score in zip(given, scores, strict=True):
        earned = sum(c["points"] for c in RUBRIC if met(c["criterion"], one.completion.answer or ""))
        assert score.value == pytest.approx(earned / 36)
