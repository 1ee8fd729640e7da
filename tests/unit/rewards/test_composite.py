import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.errors import ConfigError, EmbedderError, JudgeRejected, JudgeUnavailable
from medix_r1.rewards.base import Score
from medix_r1.rewards.composite import CompositeReward, weight_problems
from medix_r1.rewards.embed import EmbeddingReward
from medix_r1.rewards.format import FormatReward
from medix_r1.rewards.llm import JudgeReward
from tests.support.problems import codes, only
from tests.unit.rewards.cases import WEIGHTS, ScriptedEmbedder, ScriptedJudge, composite, reply, sample

REFERENCE = "<X_RAY>left lung"
# source, reply, reference, what judge and embedder say, the total
GOLDEN = [
    ("paper: right, tag and form", reply("the left one"), REFERENCE, True, 0.9, 1.0),
    ("paper: wrong, but tag and form", reply("heart"), REFERENCE, False, 0.1, 0.145),
    ("paper: right with the wrong tag", reply("the left one", "CT_SCAN"), REFERENCE, True, 0.9, 0.955),
    ("paper: exact match asks nobody", reply("Left lung"), REFERENCE, False, -1.0, 1.0),
    ("paper: only the judge agrees", reply("the left one"), REFERENCE, True, 0.1, 0.6625),
    ("paper: only the embedder agrees", reply("not the left lung"), REFERENCE, False, 0.9, 0.4825),
    ("upstream defect 7: ratio", reply("Ratio 1:2"), "<X_RAY>Ratio 1:2", False, -1.0, 1.0),
    ("upstream defect 7: digit", reply("5"), "<X_RAY>5", False, -1.0, 1.0),
    ("upstream defect 7: letter", reply("B"), "<X_RAY>B", False, -1.0, 1.0),
    ("upstream defect 9: signs", reply("120 / 80"), "<X_RAY>120/80", False, -1.0, 1.0),
    ("upstream defect 8: untagged reference", reply("left lung"), "left lung", False, -1.0, 1.0),
    ("upstream defect 8: untagged, wrong", reply("heart"), "left lung", False, 0.1, 0.1 / 0.955),
    ("upstream defect 10: no marks at all", "left lung", REFERENCE, True, 1.0, 0.0),
    ("upstream defect 10: a tag and no marks", "<X_RAY> left lung", REFERENCE, True, 1.0, 0.045),
    ("upstream defect 10: two answers", reply("left lung</answer><answer>heart"), REFERENCE, True, 1.0, 0.045),
    ("upstream defect 10: preamble", "So: " + reply("left lung"), REFERENCE, True, 1.0, 0.855),
    ("regression: nothing", "", REFERENCE, True, 1.0, 0.0),
    ("regression: empty answer", reply(""), REFERENCE, True, 1.0, 0.045),
]


@pytest.mark.parametrize(
    ("completion", "reference", "verdict", "cosine", "total"), [case[1:] for case in GOLDEN], ids=[c[0] for c in GOLDEN]
)
async def test_golden_reward(completion, reference, verdict, cosine, total):
    breakdown = await composite(ScriptedJudge(verdict), ScriptedEmbedder(cosine)).score(sample(completion, reference))

    assert breakdown.total == pytest.approx(total, abs=1e-12)
    assert breakdown.failure is None
    assert list(breakdown.parts) == ["llm", "embed", "format", "modality", "exact"]


def test_the_papers_weights():
    """Upstream defect 12: there the weights are constants and nothing checks that they sum to 1."""
    assert pytest.approx({"llm": 0.5175, "embed": 0.3375, "format": 0.10, "modality": 0.045}) == WEIGHTS
    assert math.fsum(WEIGHTS.values()) == pytest.approx(1.0, abs=1e-12)


async def test_weight_of_what_does_not_apply_is_shared_out_in_proportion():
    case = sample("<think>a</think><answer>the left one</answer>", "left lung", has_image=False)

    right = await composite(ScriptedJudge(True), ScriptedEmbedder(0.9)).score(case)
    judge_only = await composite(ScriptedJudge(True), ScriptedEmbedder(0.1)).score(case)

    assert right.parts["modality"].value is None
    assert right.total == pytest.approx(1.0, abs=1e-12)
    assert judge_only.total == pytest.approx((0.5175 + 0.10) / (1 - 0.045), abs=1e-12)


async def test_a_monitor_is_scored_and_does_not_count():
    breakdown = await composite(ScriptedJudge(True), ScriptedEmbedder(0.9)).score(
        sample(reply("the left one"), REFERENCE)
    )

    assert breakdown.parts["exact"].value == 0.0
    assert breakdown.total == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("error", "outage"), [(JudgeUnavailable("server away"), True), (JudgeRejected("too long"), False)]
)
async def test_a_failed_judge_masks_the_sample(error, outage):
    """Upstream defect 1: there a failed judge scores 0, so during an outage only format and modality are trained."""
    breakdown = await composite(ScriptedJudge(error), ScriptedEmbedder(0.9)).score(
        sample(reply("the left one"), REFERENCE)
    )

    assert breakdown.total is None
    assert breakdown.outage is outage
    assert breakdown.failure == f"llm: {error}"
    assert breakdown.parts["llm"] == Score(None, f"failed: {error}")
    assert breakdown.parts["embed"].value == 1.0


async def test_a_failed_embedder_masks_the_sample():
    breakdown = await composite(ScriptedJudge(True), ScriptedEmbedder(EmbedderError("no model"))).score(
        sample(reply("the left one"), REFERENCE)
    )

    assert breakdown.total is None
    assert breakdown.outage
    assert breakdown.failure == "embed: no model"


async def test_two_failures_are_both_named():
    breakdown = await composite(ScriptedJudge(JudgeRejected("x")), ScriptedEmbedder(EmbedderError("y"))).score(
        sample(reply("the left one"), REFERENCE)
    )

    assert breakdown.failure == "llm: x; embed: y"
    assert breakdown.outage


async def test_a_sample_that_needs_no_judge_survives_an_outage():
    breakdown = await composite(ScriptedJudge(JudgeUnavailable("x")), ScriptedEmbedder(EmbedderError("y"))).score(
        sample(reply("left lung"), REFERENCE)
    )

    assert breakdown.total == pytest.approx(1.0)


async def test_a_failed_monitor_masks_nothing():
    weights = {"embed": 0.9, "format": 0.1}
    breakdown = await composite(ScriptedJudge(JudgeUnavailable("x")), ScriptedEmbedder(0.9), weights).score(
        sample(reply("the left one"), REFERENCE)
    )

    assert breakdown.total == pytest.approx(1.0)
    assert breakdown.parts["llm"].value is None
    assert not breakdown.outage


@pytest.mark.parametrize(("value", "part"), [(1.0 + 1e-7, 1.0), (1.0 + 1e-6, 1.0), (-1e-6, 0.0), (-0.0, 0.0)])
async def test_a_value_that_rounding_took_outside_is_moved_to_the_bound(value, part):
    class Rounded:
        def score(self, _):
            return Score(value, "cosine")

    breakdown = await CompositeReward(signals={"mine": Rounded()}, weights={"mine": 1.0}).score(
        sample(reply("left lung"), REFERENCE)
    )

    assert (breakdown.total, breakdown.parts["mine"]) == (part, Score(part, "cosine"))


async def test_a_bug_is_raised_and_not_scored():
    with pytest.raises(ZeroDivisionError):
        await composite(ScriptedJudge(ZeroDivisionError()), ScriptedEmbedder(0.9)).score(
            sample(reply("the left one"), REFERENCE)
        )


NAMES = {"llm": 0, "embed": 0, "format": 0, "modality": 0, "exact": 0}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (WEIGHTS, []),
        ({"llm": 1}, []),
        ({"llm": 0.5, "embed": 0.5 + 1e-9}, []),
        ({"lm": 1.0}, [("reward.weights.lm", "no-such-signal", "embed, exact, format, llm, modality")]),
        ({"llm": -0.5, "embed": 1.5}, [("reward.weights.llm", "not-a-weight", "-0.5")]),
        ({"llm": math.nan}, [("reward.weights.llm", "not-a-weight", "nan")]),
        ({"llm": math.inf}, [("reward.weights.llm", "not-a-weight", "inf")]),
        ({"llm": "1"}, [("reward.weights.llm", "not-a-weight", "'1'")]),
        ({"llm": None, "embed": 1.0}, [("reward.weights.llm", "not-a-weight", "None")]),
        ({"llm": 0.5, "embed": 0.4}, [("reward.weights", "sum-not-one", "0.9")]),
        ({}, [("reward.weights", "sum-not-one", "0")]),
        (
            {"lm": 0.2, "embed": -1, "format": math.nan},
            [
                ("reward.weights.lm", "no-such-signal", "embed, exact, format, llm, modality"),
                ("reward.weights.embed", "not-a-weight", "-1"),
                ("reward.weights.format", "not-a-weight", "nan"),
            ],
        ),
    ],
)
def test_every_problem_of_the_weights_is_one_line(weights, expected):
    found = weight_problems(weights, NAMES)

    assert codes(found) == [(key, code) for key, code, _ in expected]
    assert all(value in problem.text for problem, (_, _, value) in zip(found, expected, strict=True))


def test_wrong_weights_make_no_composite():
    wrong = (("reward.weights.fromat", "no-such-signal"), ("reward.weights.format", "not-a-weight"))
    with pytest.raises(ConfigError, check=only(*wrong)):
        CompositeReward(signals={"format": FormatReward()}, weights={"fromat": 0.5, "format": -1})


class Fixed:
    def __init__(self, value):
        self.value = value

    async def score(self, _):
        return Score(self.value, "")


@given(parts=st.lists(st.tuples(st.none() | st.floats(0, 1), st.floats(1e-6, 1e6)), min_size=1, max_size=6))
async def test_the_total_is_in_0_to_1(parts):
    whole = math.fsum(weight for _, weight in parts)
    reward = CompositeReward(
        signals={f"s{i}": Fixed(value) for i, (value, _) in enumerate(parts)},
        weights={f"s{i}": weight / whole for i, (_, weight) in enumerate(parts)},
    )

    breakdown = await reward.score(sample("", ""))

    applicable = [value for value, _ in parts if value is not None]
    if applicable:
        assert breakdown.total is not None
        assert min(applicable) - 1e-9 <= breakdown.total <= max(applicable) + 1e-9
        assert 0.0 <= breakdown.total <= 1.0
    else:
        assert breakdown.total is None  # masked: nothing is silently 0


@given(text=st.text(max_size=40), cosine=st.floats(-1, 1), verdict=st.booleans(), has_image=st.booleans())
async def test_any_reply_has_a_total_and_the_same_parts(text, cosine, verdict, has_image):
    breakdown = await composite(ScriptedJudge(verdict), ScriptedEmbedder(cosine)).score(
        sample(reply(text), REFERENCE, has_image=has_image)
    )

    assert breakdown.total is not None
    assert 0.0 <= breakdown.total <= 1.0
    assert set(breakdown.parts) == set(NAMES)  # verl reads the keys of the first sample and looks them up in all


class Hangs:
    """Waits for ever, and records whether it was cancelled."""

    def __init__(self):
        self.cancelled = False

    async def score(self, _):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_sample_that_is_cancelled_leaves_nothing_running():
    hanging = {name: Hangs() for name in ("a", "b", "c")}
    reward = CompositeReward(signals=hanging, weights={"a": 1.0})
    scoring = asyncio.create_task(reward.score(sample("", "")))
    await asyncio.sleep(0.01)

    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring

    assert all(signal.cancelled for signal in hanging.values())


async def test_a_bug_in_a_signal_is_raised_and_ends_the_others():
    class Broken:
        async def score(self, _):
            await asyncio.sleep(0.01)
            raise ZeroDivisionError

    hanging = Hangs()
    reward = CompositeReward(signals={"a": hanging, "b": Broken()}, weights={"a": 1.0})

    with pytest.raises(ZeroDivisionError):
        await reward.score(sample("", ""))

    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_signal_that_returns_no_score_is_named():
    class Computes:
        def score(self, _):
            return 0.5

    class Calls:
        async def score(self, _):
            return 0.5

    for broken in (Computes(), Calls()):
        with pytest.raises(TypeError, match=r"signal brief returned 0\.5"):
            await CompositeReward(signals={"brief": broken}, weights={"brief": 1.0}).score(sample("", ""))


async def test_calls_go_out_before_anything_is_computed():
    order = []

    class Computes:
        def score(self, _):
            order.append("computed")
            return Score(1.0, "")

    class Calls:
        async def score(self, _):
            order.append("called")
            return Score(1.0, "")

    await CompositeReward(signals={"a": Computes(), "b": Calls()}, weights={"a": 1.0}).score(sample("", ""))

    assert order == ["called", "computed"]


def vetoed(judge: ScriptedJudge, veto: str | None) -> CompositeReward:
    embed = EmbeddingReward(embedder=ScriptedEmbedder(0.9), veto=veto)
    return CompositeReward(
        signals={"embed": embed, "llm": JudgeReward(judge=judge)}, weights={"llm": 0.6, "embed": 0.4}
    )


@pytest.mark.parametrize(
    ("veto", "says", "total"),
    [(None, False, 0.4), ("llm", False, 0.0), ("llm", True, 1.0), ("llm", 0.4, 0.24), ("llm", 0.6, 0.76)],
)
async def test_a_veto_takes_the_credit_of_a_signal(veto, says, total):
    breakdown = await vetoed(ScriptedJudge(says), veto).score(sample(reply("the left one"), REFERENCE))

    assert breakdown.total == pytest.approx(total)
    assert ("llm says NO" in breakdown.parts["embed"].reason) is (veto == "llm" and total < 0.5)


async def test_a_veto_that_is_not_known_masks_the_sample():
    only_embed = CompositeReward(
        signals={
            "embed": EmbeddingReward(embedder=ScriptedEmbedder(0.9), veto="llm"),
            "llm": JudgeReward(judge=ScriptedJudge(JudgeRejected("no"))),
        },
        weights={"embed": 1.0},
    )

    breakdown = await only_embed.score(sample(reply("the left one"), REFERENCE))

    assert breakdown.total is None
    assert not breakdown.outage


@pytest.mark.parametrize("veto", ["lm", "embed"])
def test_a_veto_is_another_signal_of_the_reward(veto):
    with pytest.raises(ConfigError, check=only(("reward.signals.embed.veto", "no-such-signal"))):
        vetoed(ScriptedJudge(True), veto)
