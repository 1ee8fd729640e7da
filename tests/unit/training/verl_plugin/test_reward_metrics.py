import math
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin.reward_metrics import heldout_metrics, metric_name, reward_metrics, served
from tests.support.rollouts import BLANK


def rollout(uid: str, overall: float | None, llm: float | None, *, cut: bool = False) -> ScoredRollout:
    return replace(BLANK, uid=uid, overall=overall, masked=overall is None, parts={"llm": llm}, cut=cut)


def test_metrics_of_a_small_batch():
    rollouts = [
        rollout("a", 1.0, 1.0),
        rollout("a", 0.0, 1.0),
        rollout("b", 0.5, None, cut=True),
        rollout("b", None, 0.0),
    ]

    assert reward_metrics(rollouts, "reward") == pytest.approx(
        {
            "reward/overall/mean": 0.5,
            "reward/overall/std": math.sqrt((0.25 + 0.25 + 0) / 3),
            "reward/overall/interval": 0.0,  # both groups have the mean 0.5
            "reward/overall/zero_variance_groups": 0.0,  # b has one value left, so only a can be compared
            "reward/overall/masked_share": 0.25,
            "reward/llm/mean": 2 / 3,
            "reward/llm/std": math.sqrt(2 / 9),
            "reward/llm/interval": 1.96 * 0.5,  # groups of 1 and 0: their standard error is 0.5
            "reward/llm/zero_variance_groups": 1.0,
            "reward/llm/masked_share": 0.25,
            "reward/masked_share": 0.25,
            "reward/failed_share": 0.0,
            "reward/cut_share": 0.25,
            "reward/gate_shut_share": 0.0,
            "reward/by_modality/X_RAY/overall": 0.5,
            "reward/by_modality/X_RAY/llm": 2 / 3,
        }
    )


def test_further_numbers_of_a_function_have_means_over_the_rollouts_that_have_them():
    rollouts = [
        replace(rollout("a", 1.0, 1.0), numbers={"mine/words": 10.0, "mine/odd name": 1.0}),
        replace(rollout("a", 1.0, 1.0), numbers={"mine/words": -20.0}),
        rollout("b", 1.0, 1.0),
    ]

    metrics = reward_metrics(rollouts, "reward")

    assert {name: value for name, value in metrics.items() if "mine" in name} == {
        "reward/mine/words/mean": -5.0,
        "reward/mine/odd_name/mean": 1.0,
    }


def test_of_a_hundred_names_the_32_commonest_have_metrics():
    rollouts = [
        replace(rollout("a", 1.0, 1.0), numbers={f"mine/{n}": 1.0 for n in range(100) if i >= n}) for i in range(99)
    ]

    metrics = reward_metrics(rollouts, "x")

    assert sorted(int(name.split("/")[2]) for name in metrics if "mine" in name) == list(range(32))


def test_nothing_has_no_metrics():
    assert reward_metrics([], "reward") == {}


def test_a_part_that_never_applies_has_no_mean_and_is_counted():
    metrics = reward_metrics([rollout("a", 1.0, None)], "x")

    assert "x/llm/mean" not in metrics
    assert metrics["x/llm/masked_share"] == 1.0


def test_all_masked_is_never_0():
    metrics = reward_metrics([rollout("a", None, None)] * 3, "x")

    assert metrics == {
        "x/overall/masked_share": 1.0,
        "x/llm/masked_share": 1.0,
        "x/masked_share": 1.0,
        "x/failed_share": 0.0,
        "x/cut_share": 0.0,
        "x/gate_shut_share": 0.0,
    }


def test_each_signal_by_modality_and_by_source():
    rollouts = [
        replace(BLANK, source="vqa rad/1", parts={"llm": 1.0}, overall=1.0),
        replace(BLANK, source="vqa rad/1", parts={"llm": 0.0}, overall=0.5, reference="<CT_SCAN>left"),
        replace(BLANK, source="", parts={"llm": None}, overall=None, reference="left"),
        # the tag is the row's: a policy cannot invent metrics
        replace(BLANK, source="vqa rad/1", parts={"llm": 0.5}, overall=0.0, modality="MADE_UP"),
    ]

    metrics = reward_metrics(rollouts, "r")

    assert {name: value for name, value in metrics.items() if "/by_" in name} == pytest.approx(
        {
            "r/by_modality/X_RAY/overall": 0.5,
            "r/by_modality/X_RAY/llm": 0.75,
            "r/by_modality/CT_SCAN/overall": 0.5,
            "r/by_modality/CT_SCAN/llm": 0.0,
            "r/by_source/vqa_rad_1/overall": 0.5,
            "r/by_source/vqa_rad_1/llm": 0.5,
        }
    )
    assert not any("/by_source/" in name for name in reward_metrics(rollouts[:2], "r"))  # one source is the total


def test_the_number_of_names_is_bounded():
    many = [replace(BLANK, source=f"source {i}" * 30) for i in range(100)]

    metrics = reward_metrics(many, "r")

    assert len({name.split("/")[2] for name in metrics if name.startswith("r/by_source/")}) == 32
    assert max(len(name) for name in metrics) < 90


@pytest.mark.parametrize(
    ("source", "name"),
    [("vqa-rad", "vqa-rad"), ("a b/c", "a_b_c"), ("", "none"), ("лёгкое", "_"), ("x" * 99, "x" * 48)],
)
def test_metric_names(source, name):
    assert metric_name(source) == name


def test_the_gap_between_embedder_and_judge_is_over_the_rollouts_that_have_both():
    parts: list[dict[str, float | None]] = [
        {"llm": 0.0, "embed": 1.0},
        {"llm": 1.0, "embed": 1.0},
        {"llm": None, "embed": 1.0},
    ]
    rollouts = [replace(BLANK, parts=part) for part in parts]

    assert reward_metrics(rollouts, "r")["r/embed_minus_llm"] == pytest.approx(0.5)
    assert "r/embed_minus_llm" not in reward_metrics(rollouts[2:], "r")
    assert "r/embed_minus_llm" not in reward_metrics([BLANK], "r")


def test_what_the_judge_was_asked_in_this_step():
    carried = [
        {},
        {"llm/calls": 3.0, "llm/cache_hits": 0.0, "llm/failures": 1.0},
        {"llm/calls": 9.0, "llm/cache_hits": 4.0, "llm/failures": 1.0, "llm/latency_p50": 0.2, "llm/latency_p95": 0.4},
        {"llm/calls": 5.0, "llm/cache_hits": 2.0, "llm/failures": 1.0, "llm/latency_p50": 0.1, "llm/latency_p95": 0.9},
    ]

    metrics = reward_metrics([replace(BLANK, statistics=one) for one in carried], "reward")

    assert {name: metrics[f"reward/llm/{name}"] for name in ("calls", "cache_hits", "failures")} == {
        "calls": 9.0,
        "cache_hits": 4.0,
        "failures": 1.0,
    }
    assert (metrics["reward/llm/latency_p50"], metrics["reward/llm/latency_p95"]) == (0.2, 0.4)
    assert served([BLANK, BLANK]) == {}


def test_failures_and_shut_gates_are_counted():
    rollouts = [BLANK, replace(BLANK, failure="llm: x", overall=None, masked=True), replace(BLANK, gate_shut=True)] * 2

    metrics = reward_metrics(rollouts, "r")

    assert metrics["r/failed_share"] == pytest.approx(1 / 3)
    assert metrics["r/gate_shut_share"] == pytest.approx(1 / 3)
    assert metrics["r/masked_share"] == pytest.approx(1 / 3)


VALUE = st.none() | st.sampled_from([0.0, 0.145, 0.955, 1.0]) | st.floats(0, 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), VALUE, VALUE, st.booleans()), min_size=1, max_size=20))
def test_metrics_recomputed_another_way(rows):
    metrics = reward_metrics([rollout(uid, total, llm, cut=cut) for uid, total, llm, cut in rows], "m")

    for name, column in (("overall", 1), ("llm", 2)):
        there = [row[column] for row in rows if row[column] is not None]
        assert metrics[f"m/{name}/masked_share"] == pytest.approx(1 - len(there) / len(rows))
        if not there:
            assert f"m/{name}/mean" not in metrics
            continue
        mean = sum(there) / len(there)
        assert metrics[f"m/{name}/mean"] == pytest.approx(mean)
        assert metrics[f"m/{name}/std"] == pytest.approx(
            math.sqrt(sum((value - mean) ** 2 for value in there) / len(there)), abs=1e-7
        )
        groups = defaultdict(list)
        for row in rows:
            if row[column] is not None:
                groups[row[0]].append(row[column])
        flat = [len(set(values)) == 1 for values in groups.values() if len(values) > 1]
        assert metrics[f"m/{name}/zero_variance_groups"] == pytest.approx(sum(flat) / len(flat) if flat else 0.0)
    assert metrics["m/masked_share"] == pytest.approx(sum(row[1] is None for row in rows) / len(rows))
    assert metrics["m/cut_share"] == pytest.approx(sum(row[3] for row in rows) / len(rows))


def test_the_test_split_is_shown_and_never_chooses():
    validation = replace(BLANK, source="views", split="validation", overall=0.25)
    test = replace(BLANK, source="benchmark", split="test", overall=1.0)

    metrics = heldout_metrics([validation, test])

    assert metrics["heldout/benchmark/overall/mean"] == 1.0
    assert metrics["heldout/views/overall/mean"] == 0.25
    assert metrics["selection/overall/mean"] == 0.25
    assert "selection/overall/mean" not in heldout_metrics([test])


def confident(uid: str, confidence: float | None, verdict: float) -> ScoredRollout:
    said = {} if confidence is None else {"calibration/confidence": confidence, "calibration/verdict": verdict}
    parts = {"llm": verdict, "calibration": 0.0 if confidence is None else 1 - (confidence - verdict) ** 2}
    return replace(BLANK, uid=uid, source="s", overall=verdict, parts=parts, numbers=said)


SAID = [confident("a", 0.9, 1.0), confident("a", 0.8, 0.0), confident("b", 0.3, 1.0), confident("b", 0.2, 0.0)]


def test_what_stated_confidences_are_worth():
    metrics = reward_metrics([*SAID, confident("c", None, 0.0)], "r")

    assert {
        name: metrics[f"r/calibration/{name}"] for name in ("brier", "ece", "auroc", "said_share")
    } == pytest.approx({"brier": 1.18 / 4, "ece": 1.8 / 4, "auroc": 3 / 4, "said_share": 4 / 5})
    assert metrics["r/calibration/best_constant"] == pytest.approx(1 / 4)
    assert metrics["r/calibration/commonest_share"] == pytest.approx(1 / 4)
    assert metrics["r/calibration/aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert metrics["r/calibration/at_coverage"] == pytest.approx(2 / 3)
    assert not [name for name in reward_metrics([confident("c", None, 0.0)], "r") if "ece" in name or "said" in name]


def test_where_all_are_right_no_auroc_is_logged_and_one_bin_shows():
    metrics = reward_metrics([confident("a", 0.95, 1.0), confident("b", 0.99, 1.0)], "r")

    assert "r/calibration/auroc" not in metrics
    assert metrics["r/calibration/commonest_share"] == 1.0


def test_a_validation_has_intervals_and_the_selection_has_the_measures():
    metrics = heldout_metrics(SAID)

    assert 0.0 <= metrics["heldout/s/calibration/ece_low"] <= metrics["heldout/s/calibration/ece_high"] <= 1.0
    assert metrics["heldout/s/calibration/auroc_low"] <= metrics["heldout/s/calibration/auroc"]
    assert metrics["selection/calibration/ece"] == metrics["heldout/s/calibration/ece"]
    assert "selection/calibration/said_share" not in metrics
    assert not [name for name in heldout_metrics([BLANK]) if "ece" in name]
