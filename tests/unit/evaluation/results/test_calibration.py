"""Stated confidences against scores, task by task; the measures themselves: tests/unit/test_calibration.py."""

import json

import numpy as np
import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.results import calibration
from medix_r1.evaluation.results.calibration import ALL, calibrations
from tests.support.eval_run import record
from tests.support.problems import coded


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

    assert [path.name for path in paths] == [
        f"calibration{end}" for end in (".json", ".csv", ".md", ".png", "_dark.png")
    ]
    assert json.loads(paths[0].read_text(encoding="utf-8"))[0]["brier_samples"] == 40
    assert paths[3].stat().st_size > 10_000
