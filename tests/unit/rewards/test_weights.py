"""Weights: renormalised, gated, per source or modality, and validated."""

import math
import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.errors import ConfigError, JudgeRejected, JudgeUnavailable, RewardError
from medix_r1.rewards.base import Score
from medix_r1.rewards.composite import NOTHING_APPLIES, CompositeReward
from medix_r1.rewards.weights import Weights, gate_problems, renormalise, table_problems, weight_problems
from tests.support.problems import codes, only
from tests.unit.rewards.cases import reply, sample


class Fixed:
    def __init__(self, value):
        self.value = value

    async def score(self, _):
        if isinstance(self.value, Exception):
            raise self.value
        return Score(self.value, "fixed")


def fixed(**values):
    return {name: Fixed(value) for name, value in values.items()}


CASE = sample(reply("left"), "<X_RAY>left", source="vqa")


async def test_the_weight_of_what_does_not_apply_is_seen_in_the_breakdown():
    reward = CompositeReward(
        signals=fixed(llm=1.0, format=0.0, modality=None, exact=0.0),
        weights={"llm": 0.6, "format": 0.2, "modality": 0.2},
    )

    breakdown = await reward.score(CASE)

    assert breakdown.weights == pytest.approx({"llm": 0.75, "format": 0.25, "modality": 0.0, "exact": 0.0})
    assert breakdown.total == pytest.approx(0.75)


async def test_nothing_that_applies_is_masked_and_not_0():
    breakdown = await CompositeReward(signals=fixed(a=None, monitor=0.3), weights={"a": 1.0}).score(CASE)

    assert breakdown.total is None
    assert breakdown.failure == NOTHING_APPLIES
    assert not breakdown.outage


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1, math.inf])
async def test_a_signal_outside_0_to_1_is_an_error_that_says_so(value):
    breakdown = await CompositeReward(signals=fixed(mine=value), weights={"mine": 1.0}).score(CASE)

    assert breakdown.total is None
    assert breakdown.outage
    assert (breakdown.failure or "").startswith("mine: ")
    assert f" {value!r}, " in (breakdown.failure or "")


WEIGHTS = {"llm": 0.6, "format": 0.1, "embed": 0.3}


async def test_with_a_gate_content_counts_only_with_the_right_format():
    shut = await CompositeReward(signals=fixed(llm=1.0, embed=1.0, format=0.0), weights=WEIGHTS, gate="format").score(
        CASE
    )
    open_ = await CompositeReward(signals=fixed(llm=1.0, embed=0.0, format=1.0), weights=WEIGHTS, gate="format").score(
        CASE
    )
    none = await CompositeReward(signals=fixed(llm=1.0, embed=1.0, format=0.0), weights=WEIGHTS).score(CASE)

    assert (shut.total, shut.gate_shut) == (0.0, True)
    assert shut.parts["llm"].value == 1.0  # the part itself is kept
    assert shut.weights == pytest.approx({"llm": 0.0, "embed": 0.0, "format": 0.1})
    assert open_.total == pytest.approx(0.7)
    assert not open_.gate_shut
    assert none.total == pytest.approx(0.9)


async def test_behind_a_shut_gate_a_dead_judge_masks_nothing():
    signals = fixed(llm=JudgeUnavailable("down"), embed=1.0, format=0.0)

    shut = await CompositeReward(signals=signals, weights=WEIGHTS, gate="format").score(CASE)
    without = await CompositeReward(signals=signals, weights=WEIGHTS).score(CASE)

    assert shut.total == 0.0
    assert without.total is None
    assert without.outage


async def test_a_gate_that_fails_or_does_not_apply():
    failed = await CompositeReward(
        signals=fixed(llm=JudgeRejected("x"), format=1.0), weights={"format": 1.0}, gate="llm"
    ).score(CASE)
    absent = await CompositeReward(signals=fixed(llm=None, format=1.0), weights={"format": 1.0}, gate="llm").score(CASE)

    assert failed.total is None  # nobody knows whether it is open
    assert (absent.total, absent.gate_shut) == (1.0, False)


TABLES = {
    "source": {"reports": {"embed": 1.0}},
    "modality": {"CT_SCAN": {"format": 1.0}, "none": {"llm": 0.5, "format": 0.5}},
}


@pytest.mark.parametrize(
    ("source", "reference", "total"),
    [
        ("reports", "<X_RAY>left", 0.2),
        ("reports", "<CT_SCAN>left", 0.2),  # source goes before modality
        ("vqa", "<CT_SCAN>left", 0.4),
        ("vqa", "left", 0.7),
        ("vqa", "<X_RAY>left", 0.1 * 0.4 + 0.6 * 1.0 + 0.3 * 0.2),
        ("", "<X_RAY>left", 0.1 * 0.4 + 0.6 * 1.0 + 0.3 * 0.2),
    ],
)
async def test_weights_by_source_and_by_modality(source, reference, total):
    reward = CompositeReward(signals=fixed(llm=1.0, embed=0.2, format=0.4), weights=WEIGHTS, weight_tables=TABLES)

    breakdown = await reward.score(sample(reply("x"), reference, source=source))

    assert breakdown.total == pytest.approx(total)


NAMES = {"llm": 0, "format": 0, "off": None}


def test_every_problem_of_a_table_has_its_own_key():
    tables = {
        "sauce": {},
        "source": {"vqa": {"lm": 1.0}, "pmc": {"llm": 0.4}, "slake": None},
        "modality": {"XRAY": {"llm": 1.0}, "CT_SCAN": {"llm": -1, "format": math.nan}},
    }

    problems = table_problems(tables, NAMES)

    assert codes(problems) == [
        ("reward.weight_tables.sauce", "no-such-table"),
        ("reward.weight_tables.source.vqa.lm", "no-such-signal"),
        ("reward.weight_tables.source.pmc", "sum-not-one"),
        ("reward.weight_tables.source.slake", "not-a-mapping"),
        ("reward.weight_tables.modality.XRAY", "no-such-modality"),
        ("reward.weight_tables.modality.CT_SCAN.llm", "not-a-weight"),
        ("reward.weight_tables.modality.CT_SCAN.format", "not-a-weight"),
    ]
    assert "0.4" in problems[2].text
    assert table_problems({"source": {}, "modality": None}, NAMES) == table_problems(None, NAMES) == []


def test_a_signal_that_is_left_out_has_no_weight_and_is_no_gate():
    assert weight_problems({"llm": 1.0, "off": 0}, NAMES) == []
    found = weight_problems({"llm": 0.5, "off": 0.5}, NAMES)
    assert codes(found) == [("reward.weights.off", "weight-without-signal")]
    assert codes(gate_problems("off", NAMES)) == [("reward.gate", "no-such-signal")]
    assert gate_problems("format", NAMES) == gate_problems(None, NAMES) == []


def test_all_problems_come_together():
    wrong = (
        ("reward.weights", "sum-not-one"),
        ("reward.gate", "no-such-signal"),
        ("reward.weight_tables.source.a", "sum-not-one"),
    )
    with pytest.raises(ConfigError, check=only(*wrong)):
        CompositeReward(
            signals=fixed(llm=1.0), weights={"llm": 2}, gate="formt", weight_tables={"source": {"a": {"llm": 0}}}
        )


VALUE = st.none() | st.floats(0, 1)


@given(st.lists(st.tuples(VALUE, st.floats(1e-6, 1e3)), min_size=1, max_size=5), st.booleans())
async def test_the_total_is_always_the_sum_of_what_the_breakdown_shows(parts, gated):
    whole = math.fsum(weight for _, weight in parts)
    reward = CompositeReward(
        signals={f"s{i}": Fixed(value) for i, (value, _) in enumerate(parts)},
        weights={f"s{i}": weight / whole for i, (_, weight) in enumerate(parts)},
        gate="s0" if gated else None,
    )

    breakdown = await reward.score(CASE)

    if breakdown.total is None:
        assert all(value is None for value, _ in parts)
        return
    shown = math.fsum(weight * (breakdown.parts[name].value or 0.0) for name, weight in breakdown.weights.items())
    assert breakdown.total == pytest.approx(min(1.0, shown))
    assert math.fsum(breakdown.weights.values()) == pytest.approx(1.0) or breakdown.gate_shut


def test_renormalising_no_weight_gives_none():
    assert renormalise(Weights(a=1.0, b=0.0), ("a",)) is None
    assert renormalise(Weights(), ()) is None


def test_a_reward_error_is_of_the_package():
    assert issubclass(RewardError, RuntimeError)


@given(st.dictionaries(st.sampled_from([*"abcdefgh"]), st.floats(0, 1e9), min_size=1))
def test_weights_with_another_sum_come_back_rescaled_and_ready_to_paste(weights):
    problems = weight_problems(weights, list(weights))
    if not problems or not any(weights.values()):
        return
    (problem,) = problems

    pasted = re.search(r"'(reward\.weights=.*)'", problem.text)

    assert pasted is not None
    given_back = OverridesParser.create().parse_override(pasted[1]).value()
    assert weight_problems(given_back, list(weights)) == []
    total = math.fsum(weights.values())
    assert given_back == pytest.approx({name: weight / total for name, weight in weights.items()}, abs=5e-6)


@pytest.mark.parametrize("weights", [{"a": 0.0, "b": 0}, {"a": 1e308, "b": 1e308}])
def test_weights_that_have_no_proportion_are_not_rescaled(weights):
    (problem,) = weight_problems(weights, list(weights))
    assert (problem.code, "{" in problem.text) == ("sum-not-one", False)
