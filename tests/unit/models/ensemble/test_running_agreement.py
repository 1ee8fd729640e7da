import random

import pytest

from medix_r1.agreement import agreement
from medix_r1.models.ensemble.running_agreement import RunningAgreement


def filled(running: RunningAgreement, agreed: float, count: int, start: int = 0, seed: int = 0) -> RunningAgreement:
    """Add questions of which a share agrees; half of all are right."""
    chance = random.Random(seed)
    for number in range(start, start + count):
        strong = chance.random() < 0.5
        small = strong if chance.random() < agreed else not strong
        running.add(number.to_bytes(8), small=small, strong=strong, by_small=small)
    return running


def test_nothing_is_said_of_nothing():
    assert RunningAgreement(window=10, expected=None).estimates() == {}


def test_the_estimates_are_those_of_the_two_raters():
    running = RunningAgreement(window=100, expected=None)
    small = [True] * 5 + [False] * 5
    strong = [True, True, True, True, False, True, False, False, False, False]
    by_small = [True, True, None, True, None, False, False, None, False, False]
    for number, values in enumerate(zip(small, strong, by_small, strict=True)):
        running.add(bytes([number]), small=values[0], strong=values[1], by_small=values[2])
    same = agreement([str(one) for one in small], [str(one) for one in strong])

    found = running.estimates()
    assert found["estimated_from"] == 10
    assert found["estimated_agreement"] == same.share == 0.8
    assert (found["estimated_agreement_low"], found["estimated_agreement_high"]) == pytest.approx(
        (same.share_interval.low, same.share_interval.high)
    )
    assert found["estimated_kappa"] == pytest.approx(same.kappa) == pytest.approx(0.6)
    assert found["estimated_kappa_low"] < 0.6 < found["estimated_kappa_high"]
    assert found["estimated_error"] == 0.1  # the other disagreement lies in the band
    assert found["estimated_band_share"] == 0.3


def test_kappa_is_left_out_where_it_is_not_defined():
    running = RunningAgreement(window=10, expected=None)
    running.add(b"1", small=True, strong=True, by_small=True)
    assert "estimated_kappa" not in running.estimates()
    assert running.estimates()["estimated_agreement"] == 1.0


def test_only_the_last_questions_count():
    running = filled(RunningAgreement(window=50, expected=None), 0.0, 50)
    assert running.estimates()["estimated_agreement"] == 0.0
    assert filled(running, 1.0, 50, start=50).estimates()["estimated_agreement"] == 1.0
    assert running.estimates()["estimated_from"] == 50


@pytest.mark.parametrize("expected", [None, 0.9])
def test_judges_that_drift_apart(expected):
    running = filled(RunningAgreement(window=200, expected=expected), 0.9, 400, seed=3)
    assert running.estimates()["estimated_drift"] == 0.0
    drift = filled(running, 0.6, 200, start=400, seed=4).estimates()["estimated_drift"]
    assert 0.2 < drift < 0.4


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_no_drift(seed):
    running = RunningAgreement(window=200, expected=None)
    for start in range(0, 2000, 100):
        drift = filled(running, 0.9, 100, start=start, seed=100 * seed + start).estimates().get("estimated_drift")
        assert drift == (None if start < 300 else 0.0)


def test_nothing_is_said_of_a_drift_from_few_questions():
    running = filled(RunningAgreement(window=200, expected=0.95), 0.0, 29)
    assert "estimated_drift" not in running.estimates()
    assert filled(running, 0.0, 1, start=29).estimates()["estimated_drift"] == pytest.approx(0.95)


def test_judges_that_agree_better_than_expected_have_not_drifted():
    assert filled(RunningAgreement(window=200, expected=0.5), 1.0, 200).estimates()["estimated_drift"] == 0.0
