import itertools

import pytest

from medix_r1.scoring.judging import orders
from medix_r1.scoring.judging.kinds import Rated
from tests.unit.scoring.judging.test_kinds import rows


@pytest.fixture(autouse=True)
def _fewer(monkeypatch):
    monkeypatch.setattr(orders, "_RESAMPLES", 40)
    monkeypatch.setattr(orders, "_RESAMPLED_GROUPS", 500)


def test_a_judge_without_errors_keeps_everything():
    for order in orders.simulate(rows("a", 200, 0, 0, 200), 5):
        assert (order.in_order, order.tied, order.reversed) == (1.0, 0.0, 0.0)
        assert (order.noise, order.wrong_way) == (0.0, 0.0)
        assert order.kept == pytest.approx(1.0)
        assert 0.9 < order.kept_interval.low <= order.kept_interval.high <= 1.0 + 1e-9


def test_few_rows_without_errors_are_no_proof():
    few, many = (orders.simulate(rows("a", count, 0, 0, count), 5)[2].kept_interval.low for count in (4, 400))
    assert few < 0.95 < many


def test_a_judge_that_says_the_opposite_pushes_the_wrong_way():
    order = orders.simulate(rows("a", 0, 200, 200, 0), 5)[2]
    assert order.kept == pytest.approx(-1.0)
    assert order.reversed == 1.0
    assert order.wrong_way > 0.9


def test_a_judge_that_guesses_keeps_nothing():
    order = orders.simulate(rows("a", 100, 100, 100, 100), 5)[2]
    assert abs(order.kept) < 0.03
    assert order.in_order == pytest.approx(0.25, abs=0.02)
    assert order.tied == pytest.approx(0.5, abs=0.02)


def exact_pairs(yes_right: float, yes_wrong: float) -> tuple[float, float, float]:
    above, below = yes_right * (1 - yes_wrong), (1 - yes_right) * yes_wrong
    return above, 1 - above - below, below


def exact_kept(share: float, yes_right: float, yes_wrong: float, size: int) -> float:
    """The push over all groups of 0s and 1s, counted out instead of drawn."""

    def push(values: tuple[int, ...], truth: tuple[int, ...]) -> float:
        mean = sum(values) / size
        spread = (mean * (1 - mean)) ** 0.5
        return sum((v - mean) / spread * t for v, t in zip(values, truth, strict=True)) / size if spread else 0.0

    got = best = 0.0
    for truth in itertools.product((0, 1), repeat=size):
        chance = 1.0
        for right in truth:
            chance *= share if right else 1 - share
        best += chance * push(truth, truth)
        for values in itertools.product((0, 1), repeat=size):
            said = chance
            for value, right in zip(values, truth, strict=True):
                yes = yes_right if right else yes_wrong
                said *= yes if value else 1 - yes
            got += said * push(values, truth)
    return got / best


@pytest.mark.parametrize(("right", "wrong"), [((66, 34), (2, 98)), ((90, 10), (20, 80))])
def test_the_simulation_agrees_with_counting(right, wrong):
    found = orders.simulate(rows("a", *right, *wrong), 4)
    yes_right, yes_wrong = right[0] / 100, wrong[0] / 100
    for order in found:
        assert (order.in_order, order.tied, order.reversed) == pytest.approx(
            exact_pairs(yes_right, yes_wrong), abs=0.02
        )
        assert order.kept == pytest.approx(exact_kept(order.right_share, yes_right, yes_wrong, 4), abs=0.03)
        assert order.kept_interval.low < order.kept < order.kept_interval.high


def test_a_false_yes_is_noise_where_nothing_is_right():
    rare, often = (orders.simulate(rows("a", 100, 0, count, 100 - count), 5)[0].noise for count in (2, 40))
    assert 0.05 < rare < 0.3 < often


def test_graded_values_order_what_binary_ones_tie():
    graded = [Rated("a", 0.9, 1.0)] * 20 + [Rated("a", 0.6, 0.0)] * 20  # both are YES
    binary = [Rated("a", 1.0, row.second) for row in graded]
    assert orders.simulate(graded, 5)[2].in_order == 1.0
    assert orders.simulate(binary, 5)[2].tied == 1.0


@pytest.mark.parametrize("counts", [(5, 5, 0, 0), (0, 0, 5, 5), (0, 0, 0, 0)])
def test_no_groups_without_right_and_wrong_answers(counts):
    assert orders.simulate(rows("a", *counts), 5) == []
