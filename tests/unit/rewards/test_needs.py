"""Signals that read others: order, circles, failures."""

from __future__ import annotations

import asyncio

import pytest

from medix_r1.errors import ConfigError, JudgeRejected
from medix_r1.rewards.base import Score
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.needs import in_order, needs_problems
from tests.support.problems import codes
from tests.unit.rewards.cases import sample


class Fixed:
    """Gives one score; an error is raised."""

    def __init__(self, value: float | Exception | None) -> None:
        self.value = value

    def score(self, _):
        if isinstance(self.value, Exception):
            raise self.value
        return Score(self.value, "fixed")


class Half:
    """Half of the sum of what it needs; async where asked."""

    def __init__(self, *needs: str, waits: bool = False) -> None:
        self.needs, self.waits = needs, waits

    def score(self, _, scores):
        found = Score(sum(score.value or 0.0 for score in scores.values()) / 2, "half")
        return self._later(found) if self.waits else found

    async def _later(self, found):
        await asyncio.sleep(0)
        return found


def score(signals, weights):
    return asyncio.run(
        CompositeReward(signals=signals, weights=weights).score(
            sample("<think>a</think><answer>b</answer>", "b", has_image=False)
        )
    )


@pytest.mark.parametrize("waits", [False, True])
def test_a_chain_is_scored_in_its_order(waits):
    signals = {"c": Half("b", waits=waits), "b": Half("a", waits=waits), "a": Fixed(1.0)}
    found = score(signals, {"c": 0.5, "a": 0.5})

    assert list(found.parts) == ["c", "b", "a"]  # the order of the signals stays
    assert {name: part.value for name, part in found.parts.items()} == {"a": 1.0, "b": 0.5, "c": 0.25}
    assert found.total == pytest.approx(0.625)


def test_a_failure_masks_what_needs_it():
    signals = {"a": Fixed(JudgeRejected("no verdict")), "b": Half("a"), "d": Fixed(1.0)}
    masked = score(signals, {"b": 0.5, "d": 0.5})
    unweighted = score(signals, {"d": 1.0})

    assert masked.total is None
    assert masked.failure == "b: no verdict"
    assert unweighted.total == 1.0


def test_circles_and_unknown_names():
    assert codes(needs_problems({"a": Half("b"), "b": Half("c"), "c": Half("a")})) == [
        ("reward.signals.a.needs", "needs-in-a-circle")
    ]
    unknown = [("reward.signals.a.needs", "no-such-signal")]
    assert codes(needs_problems({"a": Half("a")})) == unknown
    assert codes(needs_problems({"a": {"_target_": "x:Y", "needs": ["b"]}, "b": None})) == unknown
    with pytest.raises(ConfigError):
        CompositeReward(signals={"a": Half("b"), "b": Half("a")}, weights={"a": 1.0})


def test_only_those_with_needs_come_later():
    assert in_order({"x": Fixed(1.0), "b": Half("a"), "a": Half("x")}) == ("a", "b")
