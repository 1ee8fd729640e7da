"""Functions of EasyR1 and TRL as signals: their arguments, their return values, and which are refused."""

import threading

import pytest

from medix_r1.errors import ConfigError, RewardError
from medix_r1.rewards.adapters import EasyR1Reward, TrlReward, function_problems
from medix_r1.rewards.base import Reward
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.format import FormatReward
from tests.support.problems import coded, only
from tests.unit.rewards import foreign
from tests.unit.rewards.cases import reply, sample

HERE = "tests.unit.rewards.foreign"
CASE = sample(reply("left lung"), "<X_RAY>left lung", question="Which?", source="vqa", choices=("left lung", "heart"))


async def test_easyr1_gets_a_list_of_one_in_a_thread():
    foreign.SEEN.clear()

    score = await EasyR1Reward(function=f"{HERE}:easyr1", kwargs={"bonus": 0.0}).score(CASE)

    assert score.value == 1.0
    assert score.reason == "format 0.5"
    ((rows, thread),) = foreign.SEEN
    assert thread is not threading.current_thread()
    (row,) = rows
    assert row["response"] == reply("left lung")
    assert row["ground_truth"] == "<X_RAY>left lung"
    assert (row["question"], row["source"], row["choices"]) == ("Which?", "vqa", ["left lung", "heart"])
    assert row["response_length"] == len(reply("left lung"))


async def test_easyr1_sequential_and_another_key():
    signal = EasyR1Reward(function=f"{HERE}:easyr1_sequential", batched=False, key="accuracy")

    assert (await signal.score(CASE)).value == 1.0
    assert (await signal.score(sample("left lung", "left lung"))).value == 0.0


async def test_trl_gets_columns_of_one():
    foreign.SEEN.clear()

    score = await TrlReward(function=f"{HERE}:trl", columns={"weight": 2}).score(
        sample("<X_RAY>left lung", "<X_RAY>left lung", question="Which?")
    )

    assert score.value == 1.0
    completions, solution, others = foreign.SEEN[0]
    assert completions == ["<X_RAY>left lung"]
    assert solution == ["<X_RAY>left lung"]
    assert others["prompts"] == ["Which?"]
    assert others["answer"] == ["left lung"]
    assert others["weight"] == [2]


@pytest.mark.parametrize(
    ("function", "options", "value"),
    [
        ("trl_without_kwargs", {}, 1.0),
        ("trl_chat", {"conversational": True}, 1.0),
        ("trl_async", {}, 0.75),
        ("trl_skips", {}, None),
        ("numpys", {}, 0.5),
        ("group_by_default", {}, 1.0),
    ],
)
async def test_trl_in_its_forms(function, options, value):
    assert (await TrlReward(function=f"{HERE}:{function}", **options).score(CASE)).value == value


@pytest.mark.parametrize(
    ("signal", "code", "names"),
    [
        (lambda: EasyR1Reward(function=f"{HERE}:minus_one"), "out-of-range", "-1.0"),
        (lambda: EasyR1Reward(function=f"{HERE}:not_a_number"), "out-of-range", "nan"),
        (lambda: EasyR1Reward(function=f"{HERE}:a_word"), "not-a-number", "'good'"),
        (lambda: EasyR1Reward(function=f"{HERE}:without_overall"), "no-such-score", "'overall'"),
        (lambda: EasyR1Reward(function=f"{HERE}:two_for_one"), "not-one-score", "2 values"),
        (lambda: EasyR1Reward(function=f"{HERE}:raising"), "raised", "KeyError: 'answer'"),
        (lambda: EasyR1Reward(function=f"{HERE}:easyr1", batched=False), "raised", "ValueError: Please use"),
        (lambda: TrlReward(function=f"{HERE}:trl_scalar"), "not-one-score", "1.0"),
    ],
)
async def test_what_is_no_score_is_an_error_that_says_so(signal, code, names):
    with pytest.raises(RewardError, check=coded(code, names)):
        await signal().score(CASE)


@pytest.mark.parametrize(
    ("function", "code", "names"),
    [
        (f"{HERE}:best_of_group", "needs-its-group", "num_generations"),
        (f"{HERE}:marked", "needs-its-group", "needs_group=True"),
        (f"{HERE}:nowhere", "not-loadable", "nowhere"),
        ("no_such_module:f", "not-loadable", "no_such_module"),
        ("easyr1", "not-module-and-name", "easyr1"),
        ("rewards/mine.py:f", "no-such-file", "rewards/mine.py"),
        (None, "not-module-and-name", "None"),
        (f"{HERE}:NOT_A_FUNCTION", "not-a-function", "NOT_A_FUNCTION"),
    ],
)
def test_functions_that_cannot_be_used_are_refused_with_the_reason(function, code, names):
    (problem,) = function_problems(function)
    assert (problem.key, problem.code) == ("function", code)
    assert names in problem.text
    for adapter in (EasyR1Reward, TrlReward):
        with pytest.raises(ConfigError, check=only(("function", code))):
            adapter(function=function)


async def test_a_bad_function_masks_and_stops_and_is_never_0():
    signals: dict[str, Reward | None] = {
        "mine": EasyR1Reward(function=f"{HERE}:not_a_number"),
        "format": FormatReward(),
    }

    breakdown = await CompositeReward(signals=signals, weights={"mine": 0.5, "format": 0.5}).score(CASE)
    monitored = await CompositeReward(signals=signals, weights={"format": 1.0}).score(CASE)

    assert breakdown.total is None
    assert breakdown.outage  # going on would only repeat it
    assert " nan" in (breakdown.failure or "")
    assert monitored.total == 1.0
    assert monitored.parts["mine"].value is None
