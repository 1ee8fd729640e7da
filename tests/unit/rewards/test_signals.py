from typing import Any

import pytest

from medix_r1 import prompts
from medix_r1.config import compose_reward
from medix_r1.errors import ConfigError, EmbedderError, JudgeUnavailable
from medix_r1.models.judge import Question
from medix_r1.rewards.base import Score, rule_score
from medix_r1.rewards.embed import EmbeddingReward
from medix_r1.rewards.format import FormatReward
from medix_r1.rewards.llm import JudgeReward
from medix_r1.rewards.modality import ModalityReward
from medix_r1.rewards.monitors.exact import ExactMatch
from tests.support.problems import only
from tests.unit.rewards.cases import ScriptedEmbedder, ScriptedJudge, reply, sample, scored

UNGRADABLE = [
    pytest.param("left lung", id="no marks"),
    pytest.param(reply(""), id="empty"),
    pytest.param(reply(" . "), id="only a stop"),
    pytest.param(reply("?!"), id="only signs"),
    pytest.param(reply("a</answer><answer>left lung"), id="two answers"),
    pytest.param("<X_RAY><think>a</think><answer>left lung", id="cut"),
]


@pytest.mark.parametrize("completion", UNGRADABLE)
async def test_nothing_to_grade_is_0_without_a_call(completion):
    judge, embedder = ScriptedJudge(True), ScriptedEmbedder(1.0)
    case = sample(completion, "<X_RAY>left lung")

    assert (await scored(JudgeReward(judge=judge), case)).value == 0.0
    assert (await scored(EmbeddingReward(embedder=embedder), case)).value == 0.0
    assert not judge.asked
    assert not embedder.asked


QUESTION: dict[str, Any] = {"question": "What imaging modality is shown here?", "reference": "magnetic resonance"}


@pytest.mark.parametrize(("judge", "tokens_per_byte"), [("nano", 2), ("vllm", 1)])
@pytest.mark.parametrize("unit", ["½", "℀", "ﷺ", "𒀀", "]a", "word ", "肺", "\u200b \n½"])
def test_no_answer_is_too_long_for_the_judge_that_is_asked(judge, tokens_per_byte, unit):
    """Neutralising can make a text longer. If the judge refused the prompt, the policy could get samples masked."""
    config = compose_reward([f"judge={judge}"])
    arguments = list(config.judge.server.arguments)
    context = int(arguments[arguments.index("--max-model-len") + 1]) - config.judge.client.max_tokens
    template, limit = prompts.load(config.judge.client.prompt), config.reward.signals.llm.max_bytes
    asked = {}
    for times in (1, 300, *(limit // size for size in range(1, 40))):
        case = sample(reply(unit * times), "<X_RAY>" + QUESTION["reference"])
        asked[times] = rule_score(case, max_bytes=limit, refuse_echo=True) is None
        if asked[times]:
            answer = prompts.neutralise(unit * times).encode()
            around = prompts.fill(template, **QUESTION, prediction="", options=None).encode()
            assert tokens_per_byte * len(answer) + len(around) <= context, times
    assert asked[1]
    assert not asked[limit] or len(prompts.neutralise(unit)) < len(unit)


def test_long_honest_answers_are_gradable_in_every_script():
    limit = compose_reward(["judge=vllm"]).reward.signals.llm.max_bytes
    for text in (
        "The left lower lobe shows consolidation. " * 50,
        "左肺下叶可见实变影。" * 80,
        "Затемнение слева. " * 80,
    ):
        assert rule_score(sample(reply(text), "<X_RAY>left lung"), max_bytes=limit, refuse_echo=True) is None


def test_the_reference_itself_is_never_too_long():
    text = "consolidation of the left lower lobe " * 100

    found = rule_score(sample(reply(text), f"<X_RAY>{text}"), max_bytes=10, refuse_echo=True)

    assert found == Score(1.0, "exact match")


EXACT = [
    pytest.param("left lung", "left lung", id="same"),
    pytest.param("Left Lung.", "left lung", id="case (upstream defect 11)"),
    pytest.param("ratio 1:2", "Ratio 1:2", id="ratio (upstream defect 7)"),
    pytest.param("5", "5", id="digit (upstream defect 7)"),
    pytest.param("B", "b", id="letter (upstream defect 7)"),
    pytest.param("120 / 80", "120 / 80", id="white space (upstream defect 9)"),
    pytest.param("120/80", "120 / 80", id="white space on one side (upstream defect 9)"),
    pytest.param("why?", "why?", id="question mark (upstream defect 7)"),
]


@pytest.mark.parametrize(("answer", "reference"), EXACT)
@pytest.mark.parametrize("tag", ["<X_RAY>", ""], ids=["tagged", "untagged (upstream defect 8)"])
async def test_an_exact_match_is_1_without_a_call(answer, reference, tag):
    judge, embedder = ScriptedJudge(False), ScriptedEmbedder(-1.0)
    case = sample(reply(answer), tag + reference)

    assert (await scored(JudgeReward(judge=judge), case)).value == 1.0
    assert (await scored(EmbeddingReward(embedder=embedder), case)).value == 1.0
    assert (await scored(ExactMatch(), case)).value == 1.0
    assert not judge.asked
    assert not embedder.asked


async def test_llm_can_be_a_probability():
    score = await scored(JudgeReward(judge=ScriptedJudge(0.75)), sample(reply("the left one"), "<X_RAY>left lung"))

    assert score == Score(0.75, "judge: YES, P(YES) 0.750")


@pytest.mark.parametrize(
    ("settings", "choices", "images"),
    [
        ({}, ("left lung", "right lung"), ()),
        ({"give_images": True}, ("left lung", "right lung"), (b"\x89PNG",)),
        ({"give_choices": False}, (), ()),
    ],
)
async def test_what_the_judge_is_shown(settings, choices, images):
    judge = ScriptedJudge(True)
    signal = JudgeReward(judge=judge, **settings)
    case = sample(reply("the left one"), "<X_RAY>left lung", choices=("left lung", "right lung"), images=(b"\x89PNG",))

    await scored(signal, case)

    assert judge.asked == [Question("", "left lung", "the left one", choices=choices, images=images)]
    assert signal.wants_images is bool(images)


@pytest.mark.parametrize("says", [True, False])
async def test_llm_is_the_verdict(says):
    judge = ScriptedJudge(says)
    case = sample(reply("the left one"), "<X_RAY>left lung", question="Which lung?")

    score = await scored(JudgeReward(judge=judge), case)

    assert score.value == float(says)
    assert score.reason == ("judge: YES" if says else "judge: NO")
    assert judge.asked == [Question("Which lung?", "left lung", "the left one")]  # upstream defects 5 and 13


KNOB = {"threshold": "threshold", "graded": "floor"}


@pytest.mark.parametrize(
    ("mode", "knob", "cosine", "value"),
    [
        ("threshold", 0.8, 0.8, 1.0),
        ("threshold", 0.8, 0.7999, 0.0),
        ("threshold", 0.6, 0.61, 1.0),  # upstream defect 11: 0.8 is fixed there
        ("threshold", 0.8, -1.0, 0.0),
        ("graded", 0.8, 0.9, 0.5),
        ("graded", 0.8, 0.8, 0.0),
        ("graded", 0.8, 0.2, 0.0),
        ("graded", 0.8, 1.0, 1.0),
        ("graded", 0.8, 1.0000001, 1.0),
        ("graded", 0.0, 0.25, 0.25),
        ("graded", 0.0, -0.5, 0.0),
    ],
)
async def test_embed(mode, knob, cosine, value):
    embedder = ScriptedEmbedder(cosine)
    signal = EmbeddingReward(embedder=embedder, mode=mode, **{KNOB[mode]: knob})

    score = await scored(signal, sample(reply("The Left one."), "<X_RAY>Left Lung"))

    assert score.value == pytest.approx(value)
    assert embedder.asked == [("the left one", "left lung")]
    assert score.reason == f"cosine {cosine:.3f}"


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 80, float("nan")])
def test_embed_threshold_outside_its_range(threshold):
    with pytest.raises(ConfigError, check=only(("reward.signals.embed.threshold", "out-of-range"))):
        EmbeddingReward(embedder=ScriptedEmbedder(), threshold=threshold)


@pytest.mark.parametrize("floor", [-0.1, 1.0, float("nan")])
def test_embed_floor_outside_its_range(floor):
    with pytest.raises(ConfigError, check=only(("reward.signals.embed.floor", "out-of-range"))):
        EmbeddingReward(embedder=ScriptedEmbedder(), floor=floor)


def test_embed_mode_unknown():
    with pytest.raises(ConfigError, check=only(("reward.signals.embed.mode", "not-a-choice"))):
        EmbeddingReward(embedder=ScriptedEmbedder(), mode="cosine")  # type: ignore[arg-type]


async def test_failures_pass_through():
    """Upstream defect 1: there a failure is printed and scored 0."""
    case = sample(reply("the left one"), "<X_RAY>left lung")

    with pytest.raises(JudgeUnavailable):
        await scored(JudgeReward(judge=ScriptedJudge(JudgeUnavailable("down"))), case)
    with pytest.raises(EmbedderError):
        await scored(EmbeddingReward(embedder=ScriptedEmbedder(EmbedderError("down"))), case)


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        (reply("a"), 1.0),
        ("Sure. " + reply("a"), 0.0),
        (reply("a") + reply("b"), 0.0),
        ("<X_RAY><think></think><answer>a</answer>", 0.0),
        ("<think>a</think><answer>a</answer>", 0.0),
        ("a", 0.0),
        ("", 0.0),
    ],
)
async def test_format(completion, value):
    """Upstream defect 10: format passes there with a preamble, without a tag, or with several answers."""
    score = await scored(FormatReward(), sample(completion, "<X_RAY>a"))

    assert score.value == value
    assert (score.reason == "well formed") == bool(value)


async def test_format_gives_every_reason():
    hello = sample("hello", "<X_RAY>a")
    score = await scored(FormatReward(), hello)

    assert len(hello.completion.problems) == 3
    assert score.reason == "; ".join(hello.completion.problems)


@pytest.mark.parametrize(
    ("completion", "reference", "has_image", "value"),
    [
        (reply("a", "X_RAY"), "<X_RAY>a", True, 1.0),
        (reply("a", "x_ray"), "<X_RAY>a", True, 1.0),
        (reply("a", "X_RAY"), "<x_ray>a", True, 1.0),
        (reply("a", "CT_SCAN"), "<X_RAY>a", True, 0.0),
        (reply("a", "XRAY"), "<X_RAY>a", True, 0.0),
        ("<think>a</think><answer>a</answer>", "<X_RAY>a", True, 0.0),
        (reply("a"), "a", True, None),
        ("<think>a</think><answer>a</answer>", "<X_RAY>a", False, None),
        ("", "<X_RAY>a", True, 0.0),
    ],
)
async def test_modality(completion, reference, has_image, value):
    assert (await scored(ModalityReward(), sample(completion, reference, has_image=has_image))).value == value


@pytest.mark.parametrize(
    ("answer", "value"), [("left lung", 1.0), ("Sinister lung", 1.0), ("the left lung", 0.0), ("right lung", 0.0)]
)
async def test_exact_knows_other_wordings(answer, value):
    case = sample(reply(answer), "<X_RAY>Left lung", accepted=("sinister lung.",))

    assert (await scored(ExactMatch(), case)).value == value


async def test_exact_of_nothing():
    assert (await scored(ExactMatch(), sample("left lung", "<X_RAY>left lung"))).value == 0.0
    assert (await scored(ExactMatch(), sample(reply(""), "<X_RAY>left lung"))).value == 0.0


async def test_signs_alone_are_no_exact_match():
    """All answers that normalise to the empty text are equal to each other."""
    assert (await scored(ExactMatch(), sample(reply("."), "<X_RAY>."))).value == 0.0
