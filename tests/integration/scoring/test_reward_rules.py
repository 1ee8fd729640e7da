"""The rules keep what they promise on cases that they were not written for (docs/hard_to_fool.md has the figures)."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from medix_r1.config import compose_reward
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.build import build_reward
from medix_r1.scoring.composed import ReadyReward
from tools.rewordings.generate import cases
from tools.rewordings.hand import NAMES, by_hand
from tools.rewordings.measure import in_short, score, summary
from tools.rewordings.terms import Half


def ready() -> ReadyReward:
    settings = compose_reward(["reward=composite"]).reward
    return ReadyReward(build_reward(settings), SampleReader.of(settings), settings.overlong, settings.think_element)


@functools.cache
def measured(half: Half) -> dict[str, Any]:
    return summary(score(ready(), cases(half)))


@pytest.mark.parametrize("half", ["dev", "test", "later"])
def test_at_most_one_right_answer_in_a_hundred_loses_a_part_by_rule(half: Half) -> None:
    assert measured(half)["right"]["lost"]["share"] <= 0.01


def test_85_of_100_attacks_are_refused_whose_terms_and_forms_no_rule_was_written_with() -> None:
    several = measured("test")["several"]
    assert several["refused"]["share"] >= 0.85
    assert several["refused_of_3_or_more"]["share"] >= 0.85


@pytest.mark.parametrize("name", NAMES)
def test_the_sets_by_hand_stay_as_they_are_now(name: str) -> None:
    found = in_short(score(ready(), by_hand(name).cases))
    assert found["lost"]["share"] <= 0.01
    assert found["refused"]["share"] >= 0.85


@pytest.mark.parametrize("half", ["dev", "test", "later"])
def test_an_attack_that_no_rule_refuses_earns_less_than_half_of_a_right_answer(half: Half) -> None:
    """Format, tag and embedding: a judge that says NO keeps the rest."""
    assert measured(half)["several"]["most"] == pytest.approx(0.4825)
    assert measured(half)["wrong"]["most"] == pytest.approx(0.4825)
