"""Means, intervals and p-values on cases whose answers are known from elsewhere."""

from __future__ import annotations

import math
import random
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_rel

from medix_r1.evaluation.results.statistics import (
    ALL_ALIKE,
    NOTHING_SCORED,
    ONE_CLUSTER,
    ONE_CLUSTER_A_TASK,
    holm,
    mean,
    paired,
    share,
)


def alone(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_nothing_scored_is_no_number_and_no_division_by_zero() -> None:
    found = mean([], [])
    assert (found.value, found.interval, found.samples, found.note) == (None, None, 0, NOTHING_SCORED)
    assert paired([], [], []).p is None
    assert share(0, 0).value is None


@pytest.mark.parametrize(
    ("values", "groups", "note"),
    [
        ([1.0], ["a"], ONE_CLUSTER),
        ([1.0, 0.0, 0.0], ["a", "a", "a"], ONE_CLUSTER),
        ([1.0, 1.0, 1.0], ["a", "b", "c"], ALL_ALIKE),
        ([0.0, 0.0], ["a", "b"], ALL_ALIKE),
        ([1.0, 0.0, 0.0, 1.0], ["a", "a", "b", "b"], ALL_ALIKE),
    ],
)
def test_what_gives_no_interval_says_so(values: list[float], groups: list[str], note: str) -> None:
    found = mean(values, groups)
    assert found.value == pytest.approx(sum(values) / len(values))
    assert found.interval is None
    assert found.note == note


def test_the_interval_of_many_independent_samples_is_the_normal_one() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, 2000)
    found = mean(list(values), alone(2000))
    error = values.std(ddof=1) / math.sqrt(2000) * norm.ppf(0.975)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(values.mean() - error, abs=0.06 * error)
    assert found.interval.high == pytest.approx(values.mean() + error, abs=0.06 * error)


def test_equal_answers_in_a_cluster_count_once() -> None:
    """Each sample ten times over is no new knowledge: the interval is that of the clusters."""
    rng = random.Random(1)
    once = [float(rng.random() < 0.6) for _ in range(80)]
    single = mean(once, alone(80))
    tenfold = mean([value for value in once for _ in range(10)], [str(n) for n in range(80) for _ in range(10)])
    naive = mean([value for value in once for _ in range(10)], alone(800))
    assert tenfold.interval == single.interval
    assert tenfold.clusters == 80
    assert single.interval is not None
    assert naive.interval is not None
    width, wrong = (i.high - i.low for i in (single.interval, naive.interval))
    assert wrong == pytest.approx(width / math.sqrt(10), rel=0.1)


def test_the_same_records_give_the_same_interval() -> None:
    values = [float(n % 3 == 0) for n in range(50)]
    assert mean(values, alone(50)) == mean(values, alone(50))


@pytest.mark.parametrize(("right", "clusters"), [(0.5, 40), (0.9, 60)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(right: float, clusters: int) -> None:
    """Of 200 simulated benchmarks with correlated questions an image, about 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(7)
    held = held_naive = 0
    for _ in range(200):
        sizes = rng.integers(1, 8, clusters)
        chances = rng.beta(right * 2, (1 - right) * 2, clusters)
        values = np.concatenate([rng.random(n) < p for n, p in zip(sizes, chances, strict=True)]).astype(float)
        groups = [str(n) for n in np.repeat(np.arange(clusters), sizes)]
        interval = mean(list(values), groups, resamples=299).interval
        assert interval is not None
        held += interval.low <= right <= interval.high
        naive = binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
        held_naive += naive.low <= right <= naive.high
    assert 0.90 <= held / 200 <= 0.985
    assert held_naive / 200 < 0.85  # what one would claim without clusters


def test_macro_is_the_mean_of_the_tasks_means_and_micro_that_of_the_samples() -> None:
    values, tasks = [1.0] * 9 + [0.0], ["big"] * 9 + ["small"]
    assert mean(values, alone(10), tasks).value == pytest.approx(0.5)
    assert mean(values, alone(10)).value == pytest.approx(0.9)


def test_the_macro_interval_is_that_of_independent_tasks() -> None:
    """Two tasks of different sizes: the error of the mean of two means, by the textbook."""
    rng = np.random.default_rng(3)
    one, two = rng.random(400) < 0.7, rng.random(1600) < 0.4
    found = mean([*one.astype(float), *two.astype(float)], alone(2000), ["one"] * 400 + ["two"] * 1600)
    error = 0.5 * math.sqrt(one.var() / 400 + two.var() / 1600) * norm.ppf(0.975)
    assert found.interval is not None
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(error, rel=0.05)


def test_tasks_that_share_their_images_are_not_taken_for_independent() -> None:
    """The same answers twice under two names: the macro interval must not shrink by the square root of two."""
    values = [float(n % 3 == 0) for n in range(90)]
    single = mean(values, alone(90))
    shared = mean(values * 2, alone(90) * 2, ["a"] * 90 + ["b"] * 90)
    assert shared.interval is not None
    assert single.interval is not None
    assert (shared.interval.low, shared.interval.high) == pytest.approx((single.interval.low, single.interval.high))


def test_a_task_of_one_cluster_is_said_to_add_nothing_to_the_interval() -> None:
    values, groups = [0.0, 1.0, 0.0, 1.0, 1.0], ["a", "b", "c", "d", "lone"]
    found = mean(values, groups, ["t"] * 4 + ["u"])
    assert found.interval is not None
    lonely, few = found.note.split("; ")
    assert lonely.startswith("1 cluster")
    assert "5 clusters" in few
    nothing = mean([0.0, 1.0], ["a", "b"], ["t", "u"])
    assert (nothing.interval, nothing.note) == (None, ONE_CLUSTER_A_TASK)


@pytest.mark.parametrize(("up", "down", "same"), [(9, 1, 30), (6, 6, 3), (3, 0, 5), (15, 4, 100)])
def test_the_p_value_of_independent_right_and_wrong_is_mcnemars_exact_one(up: int, down: int, same: int) -> None:
    first = [0.0] * up + [1.0] * down + [1.0] * same
    second = [1.0] * up + [0.0] * down + [1.0] * same
    found = paired(first, second, alone(len(first)))
    exact = binomtest(up, up + down, 0.5).pvalue
    sampled = 2 ** (up + down) > 9999
    assert found.p == pytest.approx(exact, abs=0.01 if sampled else 1e-9)
    assert found.estimate.value == pytest.approx((up - down) / len(first))


def test_the_p_value_of_darwins_plants_is_fishers() -> None:
    """The textbook's first permutation test: Fisher (1935) counted 863 of 32768 signs as extreme one way."""
    inches = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]  # eighths of an inch, crossed minus selfed
    found = paired([0.0] * 15, [float(x) for x in inches], alone(15), resamples=40_000)
    assert found.p == pytest.approx(2 * 863 / 32768, abs=1e-6)
    assert found.p == pytest.approx(ttest_rel(inches, [0] * 15).pvalue, abs=0.005)


def test_swapping_goes_by_clusters() -> None:
    """Ten flips on one image are one observation, not ten."""
    first, second = [0.0] * 10 + [1.0, 1.0], [1.0] * 10 + [1.0, 1.0]
    assert paired(first, second, alone(12)).p == pytest.approx(2 / 2**10)
    assert paired(first, second, ["x"] * 10 + ["y", "z"]).p == 1.0
    assert paired(first, second, ["x"] * 12).p is None


def test_differences_that_cancel_are_no_evidence_whatever_their_rounding() -> None:
    """Summed by a computer these are not quite 0; still every swap is as extreme as that."""
    points = [0.4, 0.3, 0.6, 0.2, 0.6]
    assert paired([0.0] * 10, [*points, *(-point for point in points)], alone(10)).p == 1.0


def test_equal_results_differ_by_nothing() -> None:
    found = paired([0.0, 1.0, 1.0], [0.0, 1.0, 1.0], alone(3))
    assert (found.estimate.value, found.estimate.interval, found.p) == (0.0, None, 1.0)


def test_holm_on_his_method_by_hand() -> None:
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert holm([None]) == [None]
    assert holm([]) == []


def test_wilsons_interval_of_the_literature() -> None:
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table I, method 3); also for none of them."""
    for found, expected in ((share(81, 263), (0.2553, 0.3662)), (share(0, 20), (0.0, 0.1611))):
        assert found.interval is not None
        assert astuple(found.interval) == pytest.approx(expected, abs=5e-5)
