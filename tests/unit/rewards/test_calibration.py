"""The signal `calibration`: what is read, what is bounded, and that truth and rightness pay."""

from __future__ import annotations

import itertools
import math

import pytest

from medix_r1.confidence import Element
from medix_r1.errors import ConfigError
from medix_r1.rewards.base import SampleReader, Score
from medix_r1.rewards.calibration import ABSTAINED, RULES, CalibrationReward, pays_to_abstain_below, proper_score
from medix_r1.rewards.calibration_bounds import calibration_problems
from tests.support.problems import codes

GRID = [number / 200 for number in range(201)]
RIGHT, WRONG, UNKNOWN = Score(1.0, "YES"), Score(0.0, "NO"), Score(None, "no verdict")


def read(reply: str, confidence: Element = "required"):
    reader = SampleReader(think_element="think", confidence=confidence)
    return reader.read(reply, reference="left lung", has_image=False)


def reply(said: str) -> str:
    return f"<think>a shadow</think><answer>left lung</answer>{said}"


def score(said: str, verdict: Score = RIGHT, **settings):
    sample = read(reply(said))
    return CalibrationReward(needs=["llm"], **settings).score(sample, {"llm": verdict})


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("<confidence>0.8</confidence>", 0.8),
        ("\n<confidence> 0.8 </confidence>\n", 0.8),
        ("<Confidence>.5</ CONFIDENCE >", 0.5),
        ("<confidence>0</confidence>", 0.0),
        ("<confidence>1</confidence>", 1.0),
        ("<confidence>1.0</confidence>", 1.0),
        ("<confidence>0.123456789</confidence>", 0.123456789),
    ],
)
def test_a_number_from_0_to_1_is_read(said, value):
    completion = read(reply(said)).completion

    assert completion.well_formed
    assert completion.confidence == value
    assert completion.answer == "left lung"
    assert score(said).numbers == {"confidence": value, "verdict": 1.0}


@pytest.mark.parametrize(
    "said",
    [
        *("<confidence></confidence>", "<confidence>high</confidence>", "<confidence>nan</confidence>"),
        *("<confidence>1e9</confidence>", "<confidence>1e-1</confidence>", "<confidence>-0.1</confidence>"),
        *("<confidence>1.01</confidence>", "<confidence>80%</confidence>", "<confidence>0,8</confidence>"),
        *("<confidence>0.5 0.9</confidence>", "<confidence>inf</confidence>", "<confidence>+1</confidence>"),
        *("<confidence>٠.٨</confidence>", "<confidence>0.8", "0.8</confidence>", "</confidence>0.8<confidence>"),
        "<confidence>0.8</confidence><confidence>0.9</confidence>",
        "<confidence>0.8</confidence> and more",
        "<confidence>0." + "9" * 5000 + "</confidence>",
        "<confidence>" * 5000,
    ],
)
def test_everything_else_is_a_format_error_and_worth_nothing(said):
    completion = read(reply(said), "optional").completion

    assert not completion.well_formed
    assert completion.confidence is None
    assert score(said).value == 0.0


def test_a_block_inside_another_is_no_confidence():
    for text in (
        "<think>a</think><answer>left lung <confidence>1</confidence></answer>",
        "<think>a <confidence>1</confidence></think><answer>left lung</answer>",
        "<confidence>1</confidence><think>a</think><answer>left lung</answer>",
    ):
        completion = read(text).completion
        assert (completion.well_formed, completion.confidence) == (False, None)


def test_missing_is_an_error_only_where_it_is_required():
    assert read(reply(""), "optional").completion.well_formed
    assert not read(reply(""), "required").completion.well_formed
    assert score("").value == 0.0  # never shared out
    assert not read(reply("<confidence>1</confidence>"), "none").completion.well_formed


def test_without_a_verdict_it_does_not_apply():
    assert score("<confidence>0.8</confidence>", UNKNOWN).value is None


def test_an_abstention_counts_as_wrong():
    abstained = Score(0.3, "says that it does not know", {ABSTAINED: 1.0})
    sure = Score(0.9, "P(YES) 0.9")

    assert score("<confidence>0</confidence>", abstained).value == 1.0
    assert score("<confidence>1</confidence>", abstained, mode="probability").value == 0.0
    assert score("<confidence>0.9</confidence>", sure, mode="probability").value == pytest.approx(1.0)
    assert score("<confidence>0.9</confidence>", sure).value == pytest.approx(0.99)


@pytest.mark.parametrize("rule", RULES)
def test_the_score_is_bounded_and_truth_pays(rule):
    for chance in GRID:
        expected = {c: chance * proper_score(c, 1.0, rule) + (1 - chance) * proper_score(c, 0.0, rule) for c in GRID}
        assert all(-1e-12 <= value <= 1 + 1e-12 for value in expected.values())
        assert max(expected, key=expected.__getitem__) == chance
        mixed = {c: proper_score(c, chance, rule) for c in GRID}  # the verdict is a probability
        assert max(mixed, key=mixed.__getitem__) == chance


def best(chance: float, judged: float, weight: float, rule: str) -> float:
    return max(
        judged * chance + weight * (chance * proper_score(c, 1.0, rule) + (1 - chance) * proper_score(c, 0.0, rule))
        for c in GRID
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("weight", [0.05, 0.1, 0.2, 0.341])
def test_being_right_pays_up_to_the_judges_weight(rule, weight):
    judged = 0.5175 * (1 - weight)  # the composite, rescaled; 0.341 is where both are equal
    totals = [best(chance, judged, weight, rule) for chance in GRID]
    assert all(later > earlier - 1e-12 for earlier, later in itertools.pairwise(totals))

    heavier = [best(chance, judged, judged * 1.2, rule) for chance in GRID]
    assert min(heavier) < heavier[0] - 1e-6  # being surely wrong would pay


def test_a_heavier_calibration_is_refused_in_every_table():
    signals = {
        "llm": {"_target_": "medix_r1.rewards.llm.JudgeReward"},
        "calibration": {"_target_": "medix_r1.rewards.calibration.CalibrationReward", "needs": ["llm"]},
    }
    node = {
        "confidence": "required",
        "parser": "strict",
        "signals": signals,
        "weights": {"llm": 0.5, "calibration": 0.5},
        "weight_tables": {"source": {"a": {"llm": 0.4, "calibration": 0.6}}, "modality": {}},
    }
    too_heavy = ("reward.weight_tables.source.a.calibration", "confidence-outweighs-verdict")

    assert codes(calibration_problems(node)) == [too_heavy]
    asked = codes(calibration_problems({**node, "confidence": "none"}))
    assert asked == [("reward.signals.calibration", "nothing-to-calibrate"), too_heavy]
    assert codes(calibration_problems({**node, "confidence": "maybe"})) == [("reward.confidence", "not-a-choice")]
    public = codes(calibration_problems({**node, "parser": "public"}))
    assert ("reward.confidence", "not-with-this-parser") in public


@pytest.mark.parametrize(
    "settings", [{"needs": []}, {"needs": ["a", "b"]}, {"needs": "llm"}, {"needs": ["a"], "rule": "log"}]
)
def test_wrong_settings(settings):
    with pytest.raises(ConfigError):
        CalibrationReward(**settings)


@pytest.mark.parametrize(
    ("weight", "judged", "value"), list(itertools.product([0.0, 0.1, 0.3], [0.5], [0.1, 0.3, 0.6]))
)
def test_where_an_abstention_pays(weight, judged, value):
    limit = pays_to_abstain_below(weight, judged, value)

    honest = judged * limit + weight * (1 - limit + limit**2)
    assert honest == pytest.approx(judged * value + weight)
    assert 0.0 < limit < 1.0
    assert math.isclose(pays_to_abstain_below(0.0, judged, value), value)
