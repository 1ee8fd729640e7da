"""Estimates from k replies, against counting all subsets and against simulation."""

import itertools
import random

import pytest

from medix_r1.difficulty.estimates import alike, estimates, pass_at


@pytest.mark.parametrize("right", range(7))
@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_every_subset_counted(right, n):
    values = [1.0] * right + [0.0] * (6 - right)
    groups = list(itertools.combinations(values, n))

    assert pass_at(n, right, 6) == pytest.approx(sum(max(group) for group in groups) / len(groups))
    assert alike(n, values) == pytest.approx(sum(len(set(group)) == 1 for group in groups) / len(groups))


def test_graded_values_have_more_than_two_kinds():
    assert alike(2, [0.1, 0.5, 0.9]) == 0.0
    assert alike(2, [0.5, 0.5 + 1e-9, 0.9]) == pytest.approx(1 / 3)


def test_larger_groups_are_extrapolated_by_the_posterior():
    draw = random.Random(1)
    found = []
    for _ in range(20_000):
        chance = draw.betavariate(3.5, 5.5)  # Jeffreys' prior after 3 of 8
        found.append(chance**16 + (1 - chance) ** 16)

    assert alike(16, [1.0] * 3 + [0.0] * 5) == pytest.approx(sum(found) / len(found), rel=0.1)
    assert 0.0 < alike(16, [1.0] * 8) < 1.0  # another value might come


def test_what_frozen_rows_promise_comes_true():
    """Rows of known chances: the estimate from 8 replies is within sampling error of groups of 5 drawn anew."""
    draw = random.Random(2)
    chances = [draw.betavariate(0.5, 0.5) for _ in range(2000)]
    measured = [[float(draw.random() < chance) for _ in range(8)] for chance in chances]
    groups = [[draw.random() < chance for _ in range(5)] for chance in chances]
    share = sum(len(set(group)) > 1 for group in groups) / len(groups)

    found = estimates(measured, sizes=(5,)).teaches[5]
    assert found.value == pytest.approx(share, abs=0.05)
    assert found.interval is not None
    assert found.interval.low < found.value < found.interval.high


def test_the_summary():
    found = estimates([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]], tokens=[10.0, 20.0], cut=3, sizes=(2, 5))

    assert (found.rows, found.tokens, found.cut) == (3, 15.0, 0.5)
    assert found.accuracy.value == pytest.approx(0.5)
    assert {n: one.value for n, one in found.passes.items()} == {1: pytest.approx(0.5), 2: pytest.approx(2 / 3)}
    assert found.teaches[2].value == pytest.approx(1 / 3)
    assert found.extrapolated == (5,)
    assert estimates([[1.0]]).accuracy.interval is None
