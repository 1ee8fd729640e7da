"""Building a reward from YAML: the six presets, signals that are null, and every problem of a `reward` node."""

import math
import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from medix_r1.config import compose_reward, missing_keys
from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import read_yaml
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.build import build_reward, reward_problems
from medix_r1.serving.checks import judge_problems
from tests.support.problems import codes, only
from tests.unit.rewards.cases import reply

FOLDER = Path(__file__).parents[3] / "configs" / "reward"
SCRIPTED = {
    "judge": {"_target_": "tests.unit.rewards.cases.ScriptedJudge", "says": True},
    "embedder": {"_target_": "tests.unit.rewards.cases.ScriptedEmbedder", "cosine": 0.1},
}


def settings(name: str, **changes):
    """Compose a file of configs/reward, with scripted clients in place of judge and embedder."""
    files = [FOLDER / "composite.yaml"] + ([FOLDER / f"{name}.yaml"] if name != "composite" else [])
    trees = [OmegaConf.create({key: v for key, v in read_yaml(f).items() if key != "defaults"}) for f in files]
    node = OmegaConf.merge(*trees, OmegaConf.create(changes))
    whole = OmegaConf.create(
        {
            "reward": node,
            "judge": {"client": SCRIPTED["judge"], "longest_answer": 2000},
            "embedder": SCRIPTED["embedder"],
        }
    )
    OmegaConf.resolve(whole)
    return whole.reward


MIXES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
ANSWER = reply("the left one").replace("think>", "thinking>")


def test_the_mixes_are_all_there():
    watched = ["embedding_only_watched", "llm_only_watched", "relative", "shortest_right"]
    plain = ["composite", "embedding_only", "llm_embedding", "llm_only", "no_modality", "paper"]
    assert sorted([*watched, *plain, "calibrated", "reasoning", "report", "rubric"]) == MIXES


@pytest.mark.parametrize(
    ("name", "right", "wrong_tag"),
    [
        ("composite", 0.6625, 0.6175),
        ("paper", 0.6625, 0.6175),
        ("llm_only", 1.0, 1.0),
        ("embedding_only", 0.0, 0.0),
        ("llm_only_watched", 1.0, 1.0),
        ("embedding_only_watched", 0.0, 0.0),
        ("llm_embedding", 0.575 / 0.95, 0.575 / 0.95),
        ("no_modality", 0.1 + 0.9 * 0.575 / 0.95, 0.1 + 0.9 * 0.575 / 0.95),
        ("calibrated", 0.46575 + 0.0405, 0.46575),  # no confidence: neither format nor calibration
        ("relative", 0.3625 / 0.7, 0.3175 / 0.7),  # one reply is no group
        ("shortest_right", 0.6625, 0.6175),
    ],
)
async def test_each_mix_gives_its_own_total(name, right, wrong_tag):
    node = settings(name)
    reward, reader = build_reward(node), SampleReader.of(node)

    def total_of(text):
        return reward.score(reader.read(text, reference="<X_RAY>left lung", has_image=True))

    breakdowns = [await total_of(ANSWER), await total_of(ANSWER.replace("X_RAY", "CT_SCAN"))]

    assert [breakdown.total for breakdown in breakdowns] == pytest.approx([right, wrong_tag], abs=1e-6)
    for breakdown in breakdowns:
        assert math.fsum(breakdown.weights.values()) == pytest.approx(1.0, abs=1e-6)
        assert {"exact", "length", "repetition", "hedging", "numeric", "laterality", "negation"} <= set(breakdown.parts)
    assert ("llm" in reward.signals) is (name != "embedding_only")
    assert ("embed" in reward.signals) is (name != "llm_only")


@pytest.mark.parametrize(
    ("text", "composite", "paper"),
    [
        ("left lung", 0.0, 0.855),  # no marks at all
        ("Sure. " + ANSWER, 0.5175, 0.6175),  # a preamble costs the tag only
        (ANSWER + "<answer>heart</answer>", 0.045, 0.6625),  # two answers
        (ANSWER.replace("It is so.", ""), 0.5625, 0.6625),  # an empty think block
    ],
)
async def test_what_the_public_rules_forgive(text, composite, paper):
    for name, total in (("composite", composite), ("paper", paper)):
        node = settings(name)
        sample = SampleReader.of(node).read(text, reference="<X_RAY>left lung", has_image=True)
        assert (await build_reward(node).score(sample)).total == pytest.approx(total, abs=1e-6), name


def test_every_problem_of_a_node_comes_at_once():
    node = settings(
        "composite",
        think_element="thoughts",
        parser="loose",
        overlong="drop",
        gate="formt",
        weights={"llm": 1.0},
        weight_tables={"source": {"vqa": {"llm": 0.5}}, "modality": {"XRAY": {"llm": 1.0}}},
        signals={
            "mine": {
                "_target_": "medix_r1.rewards.adapters.TrlReward",
                "function": "tests.unit.rewards.foreign:marked",
                "group": False,
            },
            "second": {"_target_": "medix_r1.rewards.llm.JudgeReward", "judge": None},
        },
    )

    expected = [
        ("reward.think_element", "not-a-choice"),
        ("reward.parser", "not-a-choice"),
        ("reward.overlong", "not-a-choice"),
        ("reward.weights", "sum-not-one"),
        ("reward.gate", "no-such-signal"),
        ("reward.weight_tables.source.vqa", "sum-not-one"),
        ("reward.weight_tables.modality.XRAY", "no-such-modality"),
        ("reward.signals.mine.group", "needs-its-group"),
        ("reward.signals.second.judge", "no-judge"),
    ]

    assert codes(reward_problems(node)) == expected
    with pytest.raises(ConfigError, check=only(*expected)):
        build_reward(node)


@pytest.mark.parametrize(
    ("given", "keys", "function"),
    [
        ({"path": "./mine.py"}, ["path"], "./mine.py:compute_score"),
        ({"path": "/a b/mine.py", "name": "f"}, ["path", "name"], "/a b/mine.py:f"),
        ({"path": "pkg://mine.rewards", "name": "f"}, ["path", "name"], "mine.rewards:f"),
        ({"name": "f"}, ["name"], "./FILE.py:f"),
        ({"reward_kwargs": {"power": 2, "mode": "true"}}, ["reward_kwargs"], "./FILE.py:compute_score"),
    ],
)
def test_verls_keys_for_a_function_are_refused_with_the_signal_to_write(given, keys, function):
    node = settings("composite", custom_reward_function={"path": None, "name": "compute_score", **given})

    problems = reward_problems(node)

    assert codes(problems) == [(f"reward.custom_reward_function.{key}", "not-read") for key in keys]
    pasted = re.search(r"'\+(reward\.signals\.mine=.*?)' with", problems[0].text)
    assert pasted is not None
    signal = OverridesParser.create().parse_override(pasted[1]).value()
    wanted = {"_target_": "medix_r1.rewards.adapters.VerlReward", "function": function}
    assert signal == wanted | ({"kwargs": given["reward_kwargs"]} if "reward_kwargs" in given else {})


def test_placeholders_of_ours_in_verls_keys_are_no_problem():
    named = {"path": "pkg://medix_r1.training.verl_plugin.scorer", "name": "not_called"}
    assert reward_problems(settings("composite", custom_reward_function=named)) == []


def test_a_function_that_cannot_be_called_is_a_problem_with_its_full_key():
    mine = {"_target_": "medix_r1.rewards.adapters.VerlReward", "function": "tests.unit.rewards.foreign:easyr1"}
    wrong = {**mine, "function": "tests.unit.rewards.foreign:verl", "part": "tail", "timeout": 0}
    unknown = {**wrong, "part": "reply", "timeout": 1, "retries": 2}

    node = settings("composite", signals={"mine": mine, "wrong": wrong, "unknown": unknown})

    assert codes(reward_problems(node)) == [
        ("reward.signals.mine.function", "arguments-do-not-fit"),
        ("reward.signals.wrong.timeout", "out-of-range"),
        ("reward.signals.wrong.part", "not-a-choice"),
        ("reward.signals.unknown", "settings-refused"),
    ]


class Wordy:
    def __init__(self, *, words: int, limit: int = 3) -> None: ...

    def score(self, sample): ...


class Unscoring:
    """A signal whose `score` takes nothing."""

    def score(self): ...


class Static:
    @staticmethod
    def score(sample): ...


def make(words: int) -> Wordy:
    return Wordy(words=words)


@pytest.mark.parametrize(
    ("signal", "problem"),
    [
        ({"_target_": f"{__name__}.Wordy", "words": 3}, None),
        ({"_target_": f"{__name__}.Wordy"}, ("reward.signals.mine", "settings-refused")),
        ({"_target_": f"{__name__}.Wordy", "words": 3, "wrods": 3}, ("reward.signals.mine", "settings-refused")),
        ({"_target_": f"{__name__}.make", "words": 3}, None),
        ({"_target_": f"{__name__}.make"}, ("reward.signals.mine", "settings-refused")),
        ({"_target_": f"{__name__}.Static"}, None),
        ({"_target_": f"{__name__}.Unscoring"}, ("reward.signals.mine._target_", "arguments-do-not-fit")),
        (
            {"_target_": "medix_r1.errors.Problem", "key": "", "code": "", "text": ""},
            ("reward.signals.mine._target_", "arguments-do-not-fit"),
        ),
        ({"_target_": "medix_r1.rewards.adapters.TrlReward"}, ("reward.signals.mine", "settings-refused")),
    ],
)
def test_a_class_that_cannot_be_built_or_cannot_score_is_refused_without_building_it(signal, problem):
    assert codes(reward_problems(settings("composite", signals={"mine": signal}))) == ([problem] if problem else [])


def test_a_plain_dict_does_as_well():
    assert reward_problems(OmegaConf.to_container(settings("paper"))) == []


def test_the_reader_fills_every_field():
    read = SampleReader(think_element="think").read(
        reply("B"),
        reference="<X_RAY>\nB",
        has_image=True,
        question="Which?",
        choices=["A", "B"],
        images=[b"1", b"2"],
        source="vqa",
        cut=True,
        accepted=["b)"],
    )

    assert read.completion.well_formed
    assert (read.reference.modality, read.reference.answer, read.modality) == ("X_RAY", "B", "X_RAY")
    assert (read.choices, read.images, read.accepted) == (("A", "B"), (b"1", b"2"), ("b)",))
    assert (read.question, read.source, read.cut, read.has_image) == ("Which?", "vqa", True, True)
    assert b"1" not in repr(read).encode()  # pictures stay out of logs


def test_text_only_and_several_images_are_normal():
    reader = SampleReader(think_element="think")
    text_only = reader.read("<think>a</think><answer>b</answer>", reference="b", has_image=False)
    several = reader.read(reply("b"), reference="<X_RAY>b", has_image=True, images=[b"1", b"2", b"3"])

    assert text_only.completion.well_formed
    assert text_only.modality == "none"
    assert several.completion.well_formed


def test_a_reward_without_a_judge_needs_none():
    alone = compose_reward(["reward=embedding_only", "judge=none", "embedder=minilm"])
    asked = compose_reward(["reward=composite", "judge=none", "embedder=minilm"])

    assert missing_keys(alone) == []
    assert [*reward_problems(alone.reward), *judge_problems(alone)] == []
    assert codes([*reward_problems(asked.reward), *judge_problems(asked)]) == [("reward.signals.llm.judge", "no-judge")]


@pytest.mark.parametrize("name", MIXES)
def test_every_mix_composes(name):
    config = compose_reward([f"reward={name}", "judge=remote", "judge.client.base_url=http://127.0.0.1:9/v1"])

    assert missing_keys(config) == reward_problems(config.reward) == []


def test_tables_gate_and_dropped_monitors_on_the_command_line():
    config = compose_reward(
        [
            "+reward.weight_tables.modality.CT_SCAN={llm: 0.9, format: 0.1}",
            "+reward.weight_tables.source.vqa-rad={llm: 0.5, format: 0.4}",
            "reward.gate=format",
            "reward.signals.hedging=null",
        ]
    )

    assert codes(reward_problems(config.reward)) == [("reward.weight_tables.source.vqa-rad", "sum-not-one")]
