"""Functions of EasyR1, TRL, verl and OpenRLHF as signals: arguments, return values, and which are refused."""

import asyncio
import threading
from dataclasses import replace

import pytest

from medix_r1.errors import ConfigError, RewardError
from medix_r1.rewards.adapters import EasyR1Reward, OpenRlhfReward, TrlReward, VerlReward
from medix_r1.rewards.adapters.function import function_problems
from medix_r1.rewards.base import Reward, Seat
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.format import FormatReward
from tests.support.problems import coded, only
from tests.unit.rewards import foreign
from tests.unit.rewards.cases import reply, sample

HERE = "tests.unit.rewards.foreign"
ONE_REPLY = ("function", "takes-one-reply")
CASE = sample(reply("left lung"), "<X_RAY>left lung", question="Which?", source="vqa", choices=("left lung", "heart"))
# With timeout=None a function runs in a thread of the test, which sees what it does. In a process:
# tests/integration/test_function_process.py


async def test_easyr1_gets_a_list_of_one_in_a_thread():
    foreign.SEEN.clear()

    score = await EasyR1Reward(function=f"{HERE}:easyr1", kwargs={"bonus": 0.0}, timeout=None).score(CASE)

    assert score.value == 1.0
    assert (score.reason, score.numbers) == ("format 0.5", {"format": 0.5})
    ((rows, thread),) = foreign.SEEN
    assert thread is not threading.current_thread()
    (row,) = rows
    assert row["response"] == reply("left lung")
    assert row["ground_truth"] == "<X_RAY>left lung"
    assert (row["question"], row["source"], row["choices"]) == ("Which?", "vqa", ["left lung", "heart"])
    assert row["response_length"] == len(reply("left lung"))


async def test_easyr1_sequential_and_another_key():
    signal = EasyR1Reward(function=f"{HERE}:easyr1_sequential", batched=False, key="accuracy", timeout=None)

    assert (await signal.score(CASE)).value == 1.0
    assert (await signal.score(sample("left lung", "left lung"))).value == 0.0


async def test_trl_gets_columns_of_one():
    foreign.SEEN.clear()

    score = await TrlReward(function=f"{HERE}:trl", columns={"weight": 2}, timeout=None).score(
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
        ("array", {}, 0.5),
        ("generator", {}, 0.5),
        ("fraction", {}, 0.5),
        ("a_rounding_above", {}, 1.0),
        ("a_rounding_below", {}, 0.0),
        ("minus_half", {"rescale": [-1, 1]}, 0.25),
        ("group_by_default", {}, 1.0),
    ],
)
async def test_trl_in_its_forms(function, options, value):
    assert (await TrlReward(function=f"{HERE}:{function}", **options, timeout=None).score(CASE)).value == value


@pytest.mark.parametrize(
    ("part", "reply_text", "reference"),
    [("reply", reply("left lung"), "<X_RAY>left lung"), ("answer", "left lung", "left lung")],
)
async def test_verl_gets_its_four_keywords_and_reward_kwargs(part, reply_text, reference):
    foreign.SEEN.clear()

    signal = VerlReward(function=f"{HERE}:verl", kwargs={"bonus": 0.25}, part=part, timeout=None)
    score = await signal.score(CASE)

    assert (score.value, score.numbers) == (0.75, {"acc": 1.0, "length": 3.0})
    assert [
        ("vqa", reply_text, reference, {"question": "Which?", "choices": ["left lung", "heart"], "answers": []})
    ] == foreign.SEEN


@pytest.mark.parametrize(("function", "value"), [("verl_number", 0.5), ("verl_array", 0.5), ("verl_async", 0.25)])
async def test_verl_in_its_forms(function, value):
    assert (await VerlReward(function=f"{HERE}:{function}", timeout=None).score(CASE)).value == value


async def test_openrlhf_gets_three_lists_and_its_logs_become_metrics():
    foreign.SEEN.clear()

    score = await OpenRlhfReward(function=f"{HERE}:openrlhf", rescale=(-1, 1), timeout=None).score(CASE)

    assert [(["Which?" + reply("left lung")], ["Which?"], ["<X_RAY>left lung"])] == foreign.SEEN
    assert (score.value, score.numbers) == (0.75, {"scores": 1.0, "length": 7.0})


@pytest.mark.parametrize(
    ("function", "options", "value"),
    [("openrlhf", {"key": "scores"}, 1.0), ("openrlhf_array", {}, 0.5), ("openrlhf_scalar", {}, 0.5)],
)
async def test_openrlhf_in_its_forms(function, options, value):
    assert (await OpenRlhfReward(function=f"{HERE}:{function}", **options, timeout=None).score(CASE)).value == value


@pytest.mark.parametrize(
    ("part", "text", "expected"),
    [
        ("think", reply("left lung"), "It is so."),
        ("answer", reply("left lung"), "left lung"),
        ("reply", "left lung", "left lung"),
    ],
)
async def test_a_function_gets_the_part_that_is_asked_for(part, text, expected):
    foreign.SEEN.clear()

    signal = EasyR1Reward(function=f"{HERE}:easyr1", part=part, timeout=None)
    await signal.score(sample(text, "<X_RAY>left lung"))

    assert [rows[0]["response"] for rows, _ in foreign.SEEN] == [expected]


@pytest.mark.parametrize("part", ["think", "answer"])
async def test_a_reply_without_that_part_scores_0_without_a_call(part):
    signal = VerlReward(function=f"{HERE}:raising_verl", part=part, timeout=None)

    score = await signal.score(sample("left lung", "<X_RAY>left lung"))

    assert (score.value, score.numbers) == (0.0, None)


@pytest.mark.parametrize(
    ("adapter", "function", "options", "code", "names"),
    [
        (EasyR1Reward, "minus_one", {}, "out-of-range", "-1.0"),
        (EasyR1Reward, "minus_one", {"rescale": [-0.5, 1]}, "out-of-range", "-1.0"),
        (EasyR1Reward, "not_a_number", {}, "out-of-range", "nan"),
        (EasyR1Reward, "a_word", {}, "not-a-number", "'good'"),
        (EasyR1Reward, "without_overall", {}, "no-such-score", "'overall'"),
        (EasyR1Reward, "two_for_one", {}, "not-one-score", "2 values"),
        (EasyR1Reward, "raising", {}, "raised", "KeyError: 'answer'"),
        (EasyR1Reward, "easyr1", {"batched": False}, "raised", "ValueError: Please use"),
        (TrlReward, "trl_scalar", {}, "not-one-score", "1.0"),
        (TrlReward, "more_than_rounding", {}, "out-of-range", "1.000002"),
        (TrlReward, "endless", {}, "not-one-score", "values"),
        (VerlReward, "leaves", {}, "raised", "SystemExit: 1"),
        (VerlReward, "verl", {"key": "reward"}, "no-such-score", "'reward'"),
        (VerlReward, "verl_two", {}, "not-one-score", "2 values"),
        (VerlReward, "verl_huge", {}, "out-of-range", "inf"),
        (OpenRlhfReward, "openrlhf_nothing", {}, "not-a-number", "None"),
    ],
)
async def test_what_is_no_score_is_an_error_that_says_so(adapter, function, options, code, names):
    signal = adapter(function=f"{HERE}:{function}", **options, timeout=None)

    with pytest.raises(RewardError, check=coded(code, names)):
        await signal.score(CASE)


@pytest.mark.parametrize(
    ("adapter", "options", "problems"),
    [
        (EasyR1Reward, {"function": f"{HERE}:verl"}, ["function"]),
        (EasyR1Reward, {"function": f"{HERE}:easyr1", "kwargs": {"bonsu": 1}}, ["function"]),
        (EasyR1Reward, {"function": f"{HERE}:easyr1", "kwargs": {"reward_inputs": 1}}, ["function"]),
        (TrlReward, {"function": f"{HERE}:easyr1"}, ["function"]),
        (TrlReward, {"function": f"{HERE}:trl_tokens"}, ["function"]),
        (TrlReward, {"function": f"{HERE}:trl_without_kwargs", "columns": {"weight": 2}}, ["columns.weight"]),
        (VerlReward, {"function": f"{HERE}:easyr1"}, ["function"]),
        (VerlReward, {"function": f"{HERE}:verl_of_three"}, ["function"]),
        (VerlReward, {"function": f"{HERE}:verl_number", "kwargs": {"bonus": 1}}, ["function"]),
        (OpenRlhfReward, {"function": f"{HERE}:easyr1"}, ["function"]),
        (OpenRlhfReward, {"function": f"{HERE}:openrlhf", "kwargs": {"labels": 1}}, ["function"]),
    ],
)
def test_a_function_that_cannot_take_its_arguments_is_refused(adapter, options, problems):
    with pytest.raises(ConfigError) as refused:
        adapter(**options)

    assert [problem.key for problem in refused.value.problems] == problems
    assert {problem.code for problem in refused.value.problems} <= {"arguments-do-not-fit", "not-taken"}


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("part", "text", "not-a-choice"),
        *(("rescale", value, "out-of-range") for value in ([1, 1], [1, -1], [0], "01", [0, float("inf")], [0, "1"], 3)),
        *(("timeout", value, "out-of-range") for value in (0, -1, "10 s", float("inf"), float("nan"), True)),
        *(("threads", value, "out-of-range") for value in (0, 1.5, "2", True)),
    ],
)
def test_a_wrong_setting_is_refused_with_its_key(option, value, code):
    for adapter, function in ((EasyR1Reward, "easyr1"), (TrlReward, "trl"), (VerlReward, "verl")):
        with pytest.raises(ConfigError, check=only((option, code))):
            adapter(function=f"{HERE}:{function}", **{option: value})


def test_all_problems_of_one_adapter_come_together():
    with pytest.raises(ConfigError) as refused:
        VerlReward(function=f"{HERE}:easyr1", part="text", rescale=[1, 0])  # type: ignore[arg-type]

    assert [problem.key for problem in refused.value.problems] == ["part", "rescale", "function"]


def test_a_function_written_in_c_without_a_signature_is_taken():
    assert VerlReward(function="builtins:min", timeout=None).name == "builtins:min"


@pytest.mark.parametrize(
    ("function", "code", "names"),
    [
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
    for adapter in (EasyR1Reward, TrlReward, VerlReward, OpenRlhfReward):
        with pytest.raises(ConfigError, check=only(("function", code))):
            adapter(function=function)


@pytest.mark.parametrize(
    ("adapter", "options", "key", "code"),
    [
        (TrlReward, {"function": f"{HERE}:best_of_group", "group": False}, "group", "needs-its-group"),
        (TrlReward, {"function": f"{HERE}:marked", "group": False}, "group", "needs-its-group"),
        (TrlReward, {"function": f"{HERE}:trl_of_advantages"}, "function", "arguments-do-not-fit"),
        (EasyR1Reward, {"function": f"{HERE}:easyr1_sequential", "batched": False, "group": True}, *ONE_REPLY),
        (VerlReward, {"function": f"{HERE}:verl_number", "group": True}, *ONE_REPLY),
        (TrlReward, {"function": f"{HERE}:trl", "group": "yes"}, "group", "not-true-or-false"),
        *(
            (TrlReward, {"function": f"{HERE}:trl", "max_batch": n}, "max_batch", "out-of-range")
            for n in (0, "2", True)
        ),
    ],
)
def test_a_group_that_cannot_be_given_is_refused(adapter, options, key, code):
    with pytest.raises(ConfigError, check=only((key, code))):
        adapter(**options)


@pytest.mark.parametrize(
    ("adapter", "function", "options"),
    [
        (TrlReward, "trl_best_of_group", {}),
        (TrlReward, "trl_best_marked", {}),
        (TrlReward, "trl_best", {"group": True}),
        (EasyR1Reward, "easyr1_best", {"group": True}),
        (VerlReward, "verl_best", {"group": True}),
        (OpenRlhfReward, "openrlhf_best", {"group": True}),
    ],
)
async def test_a_function_that_needs_its_group_gets_it_in_one_call(adapter, function, options):
    """1 for the longest answer of a group; a reply without that part is an empty text, and scores 0."""
    foreign.SEEN.clear()
    signal = adapter(function=f"{HERE}:{function}", part="answer", timeout=None, **options)
    texts = [reply("lung"), "no answer", reply("left lung"), reply("left")]
    group = [replace(sample(text, "<X_RAY>left lung"), seat=Seat("g", n, 4)) for n, text in enumerate(texts)]
    reward = CompositeReward(signals={"mine": signal, "format": FormatReward()}, weights={"mine": 1.0})

    found = await asyncio.gather(*(reward.score(one) for one in group))

    assert [one.total for one in found] == [0.0, 0.0, 1.0, 0.0]
    assert foreign.SEEN == [["lung", "", "left lung", "left"]]
    assert found[1].parts["mine"].reason == "no answer block"


async def test_a_group_with_one_wrong_value_has_no_score():
    signal = TrlReward(function=f"{HERE}:trl_last_is_nan", group=True, timeout=None)

    with pytest.raises(RewardError, check=coded("out-of-range", "nan")):
        await signal.score_group([CASE, CASE])


async def test_a_bad_function_masks_and_stops_and_is_never_0():
    signals: dict[str, Reward | None] = {
        "mine": EasyR1Reward(function=f"{HERE}:not_a_number", timeout=None),
        "format": FormatReward(),
    }

    breakdown = await CompositeReward(signals=signals, weights={"mine": 0.5, "format": 0.5}).score(CASE)
    monitored = await CompositeReward(signals=signals, weights={"format": 1.0}).score(CASE)

    assert breakdown.total is None
    assert breakdown.outage  # going on would only repeat it
    assert " nan" in (breakdown.failure or "")
    assert monitored.total == 1.0
    assert monitored.parts["mine"].value is None
