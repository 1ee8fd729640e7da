"""Confidences against scores: each measure against its definition, counted by hand or by brute force."""

import itertools

import numpy as np
import pytest

from medix_r1.calibration import at_coverage, aurc, auroc, best_constant, brier, ece, interval, risks


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
    assert at_coverage(numbers(0.9, 0.8, 0.7, 0.6, 0.1), numbers(1, 1, 0, 1, 0)) == pytest.approx(3 / 4)


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


def test_the_best_constant_is_the_mean():
    _, score = random(50, 1)
    constants = [brier(np.full(50, share / 50), score) for share in range(51)]

    assert best_constant(score) == pytest.approx(min(constants))


def test_an_interval_needs_two_clusters_and_a_value():
    confidence, score = random(20, 1)

    assert interval(brier, confidence, score, ["one"] * 20) is None
    assert interval(auroc, confidence, np.ones(20), [str(row) for row in range(20)]) is None
    found = interval(brier, confidence, score, [str(row // 2) for row in range(20)], 200)
    assert found
    assert found.low <= brier(confidence, score) <= found.high
