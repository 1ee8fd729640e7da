"""What is counted as lost, refused and too much."""

from __future__ import annotations

import dataclasses

import pytest

from medix_r1.rewards.base import Reward, Sample, SampleReader, Score
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.llm import JudgeReward
from medix_r1.scoring.composed import ReadyReward
from tools.rewordings.case import Case, Label
from tools.rewordings.measure import FindsAllEqual, SaysAlways, false_alarms, misses, score, summary, table


class Embed:
    """Takes the part away from every answer that holds a semicolon."""

    embedder = FindsAllEqual()

    async def score(self, sample: Sample) -> Score:
        if ";" in (sample.completion.answer or ""):
            return Score(0.0, "a semicolon")
        return Score(await self.embedder.similarity("", ""), "cosine")


def ready() -> ReadyReward:
    signals: dict[str, Reward | None] = {"llm": JudgeReward(judge=SaysAlways(False)), "embed": Embed()}
    composite = CompositeReward(signals=signals, weights={"llm": 0.6, "embed": 0.4})
    return ReadyReward(composite, SampleReader(), "reward", "thinking")


def case(label: Label, answer: str, n: int) -> Case:
    return Case("a kind", "A", answer, n, label, "named", "shared")


CASES = [
    case("right", "the A", 1),
    case("right", "A;", 1),
    case("several", "A; B", 2),
    case("several", "A or B", 2),
    case("several", "A or B or C or D", 4),
    case("wrong", "B", 1),
]


@pytest.fixture(scope="module")
def scored() -> list:
    return score(ready(), CASES)


def test_the_judge_says_yes_to_right_answers_alone(scored: list) -> None:
    assert [one.reward for one in scored] == pytest.approx([1.0, 0.6, 0.0, 0.4, 0.4, 0.4])
    assert [one.lost for one in scored] == [(), ("embed",), ("llm", "embed"), ("llm",), ("llm",), ("llm",)]


def test_shares_are_of_what_a_rule_did(scored: list) -> None:
    found = summary(scored)
    assert (found["right"]["lost"]["count"], found["right"]["lost"]["of"]) == (1, 2)
    assert (found["several"]["refused"]["count"], found["several"]["refused"]["of"]) == (1, 3)
    assert (found["several"]["refused_of_3_or_more"]["count"], found["several"]["refused_of_3_or_more"]["of"]) == (0, 1)
    assert found["several"]["too_much"] == 1  # 0.4 for four things, where 0.359 is due
    assert (found["several"]["precision"]["count"], found["several"]["precision"]["of"]) == (1, 2)
    assert found["wrong"]["most"] == pytest.approx(0.4)
    assert any("a kind" in line for line in table(found))


def test_a_monitor_that_flags_a_right_answer_is_a_line(scored: list) -> None:
    flagged = [dataclasses.replace(one, parts={**one.parts, "numeric": 0.0}) for one in scored[:1]]
    assert len(false_alarms([*flagged, *scored])) == 1


def test_every_miss_is_a_line(scored: list) -> None:
    found = misses(scored)
    assert len(found) == 3
    assert sum("above its bound" in line for line in found) == 1
    assert sum("a semicolon" in line for line in found) == 1
