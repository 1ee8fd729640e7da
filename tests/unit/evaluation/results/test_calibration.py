"""Stated confidences against scores: each figure against its definition, counted by hand or by brute force."""

import itertools
import json

import numpy as np
import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.results import calibration
from medix_r1.evaluation.results.calibration import ALL, aurc, auroc, brier, calibrations, ece, risks
from tests.support.eval_run import record
from tests.support.problems import coded


def numbers(*values: float):
    return np.array(values, dtype=float)


def random(count: int, seed: int, grid: int = 20):
    draw = np.random.default_rng(seed)
    return draw.integers(0, grid + 1, count) / grid, draw.integers(0, 2, count).astype(float)


def test_by_hand():
    confidence, score = numbers(0.9, 0.8, 0.3, 0.2), numbers(1, 0, 1, 0)

    assert brier(confidence, score) == pytest.approx((0.01 + 0.64 + 0.49 + 0.04) / 4)
    assert ece(confidence, score) == pytest.approx((0.1 + 0.8 + 0.7 + 0.2) / 4)
    assert auroc(confidence, score) == pytest.approx(3 / 4)
    assert list(risks(confidence, score)) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert calibration.at_coverage(numbers(0.9, 0.8, 0.7, 0.6, 0.1), numbers(1, 1, 0, 1, 0)) == pytest.approx(3 / 4)


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_the_share_of_ordered_pairs(seed):
    confidence, score = random(60, seed)
    pairs = itertools.product(confidence[score == 1], confidence[score == 0])
    wanted = [1.0 if hit > miss else 0.5 if hit == miss else 0.0 for hit, miss in pairs]

    assert auroc(confidence, score) == pytest.approx(np.mean(wanted))


@pytest.mark.parametrize("seed", range(5))
def test_ties_count_as_their_mean_order(seed):
    confidence, score = random(7, seed, grid=3)
    orders = [
        np.cumsum([1 - score[place] for place in order]) / np.arange(1, 8)
        for order in itertools.permutations(range(7))
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order))
    ]

    assert risks(confidence, score) == pytest.approx(np.mean(orders, axis=0))
    assert aurc(np.full(7, 0.5), score) == pytest.approx(1 - score.mean())


def test_one_and_zero_are_in_the_outer_bins():
    assert ece(numbers(1.0, 0.0), numbers(1, 0)) == 0.0
    assert ece(numbers(1.0, 0.0), numbers(0, 1)) == 1.0


def rows(count: int, seed: int = 1, **changes):
    draw = np.random.default_rng(seed)
    said = draw.random(count)
    right = draw.random(count) < said
    return [
        record(row, float(right[row]), confidence=float(said[row]), group=f"g{row // 2}", **changes)
        for row in range(count)
    ]


def test_an_earned_confidence_and_its_intervals():
    [one] = calibrations({"a": [*rows(200), record(998, None, confidence=0.5), record(999, 1.0)]})

    assert (one.task, one.said, one.silent) == ("a", 200, 1)
    assert (one.brier.value or 0.0) < one.constant
    for estimate in (one.brier, one.ece, one.auroc, one.aurc, one.at_coverage):
        assert estimate.interval
        assert 0.0 <= estimate.interval.low <= estimate.interval.high <= 1.0
        assert estimate.clusters == 100
    assert one.auroc.interval
    assert 0.5 < one.auroc.interval.low <= (one.auroc.value or 0.0) <= one.auroc.interval.high


def test_several_tasks_are_also_taken_together():
    found = calibrations({"a": rows(10), "b": rows(10, seed=2), "c": [record(1)]})

    assert [one.task for one in found] == ["a", "b", ALL]
    assert [one.silent for one in found] == [0, 0, 1]


def test_all_right_has_no_auroc():
    [one] = calibrations({"a": [record(row, 1.0, confidence=0.5, group=str(row)) for row in range(4)]})

    assert (one.auroc.value, one.auroc.interval) == (None, None)
    assert one.brier.value == 0.25


def test_without_any_confidence():
    with pytest.raises(DataError, check=coded("no-confidence")):
        calibrations({"a": [record(1)]})


def test_files(tmp_path):
    records = {"a": rows(40)}
    paths = calibration.write(calibrations(records), records, "a $model", tmp_path)

    assert [path.name for path in paths] == [f"calibration.{end}" for end in ("json", "csv", "md", "png")]
    assert json.loads(paths[0].read_text(encoding="utf-8"))[0]["brier_samples"] == 40
    assert paths[3].stat().st_size > 10_000
