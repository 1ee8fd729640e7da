"""Which rows a curriculum draws, what it learns of them, and that it goes on where it was."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from medix_r1.training.verl_plugin.curriculum.drawing import Curriculum, Settings
from medix_r1.training.verl_plugin.curriculum.pass_rates import PassRates

SETTINGS = Settings(band=None, weigh="adapt", signal="llm", floor=0.1, strength=8, memory=0.5)


def made(rates: Sequence[float | None], left_out: Sequence[float | None] = (), **changes: object) -> Curriculum:
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return Curriculum(rates, left_out, settings, group=5, batch=4, seed=1)


def alike(a: Fraction, b: Fraction, replies: int) -> Fraction:
    """E[p^n] of a Beta distribution, by p(right | i right ones before), which is (a + i) / (a + b + i)."""
    found = Fraction(1)
    for one in range(replies):
        found *= (a + one) / (a + b + one)
    return found


def test_a_group_teaches_as_the_beta_distribution_says() -> None:
    rates = PassRates([0.25, None, 1.0], strength=8, memory=0.5)

    half = Fraction(1, 2)
    for row, (right, wrong) in enumerate([(2, 6), (0, 0), (8, 0)]):
        a, b = half + right, half + wrong
        assert rates.teaches(5)[row] == pytest.approx(float(1 - alike(a, b, 5) - alike(b, a, 5)), abs=1e-12)
        assert rates.means()[row] == pytest.approx(float(a / (a + b)))


def test_a_group_moves_its_row_and_no_other() -> None:
    rates = PassRates([0.5, 0.5], strength=8, memory=0.5)

    rates.observe(0, right=5, replies=5)

    assert (rates.right[0], rates.wrong[0]) == (0.5 * 4 + 5, 0.5 * 4)
    assert (rates.right[1], rates.wrong[1]) == (4, 4)


def test_rows_come_in_proportion_to_what_they_teach() -> None:
    rows = made([0.0, 0.5] * 200, weigh="difficulty")
    teaches = PassRates([0.0, 0.5], 8, 0.5).teaches(5)

    counts = Counter(row % 2 for _ in range(20) for row in rows)

    assert counts[0] / counts[1] == pytest.approx(teaches[0] / teaches[1], rel=0.1)
    assert teaches[0] > 0.1  # so the floor does not matter here


def test_a_row_that_teaches_nothing_keeps_the_floor() -> None:
    rows = made([0.0, 0.5] * 200, weigh="difficulty", strength=1e9, floor=0.2)

    counts = Counter(row % 2 for _ in range(20) for row in rows)

    assert counts[0] / counts[1] == pytest.approx(0.2 / (1 - 2 * 0.5**5), rel=0.1)


@pytest.mark.parametrize("weigh", ["difficulty", "adapt"])
def test_no_row_comes_twice_in_a_batch(weigh: str) -> None:
    rows = made([0.5] + [0.0] * 9, weigh=weigh, strength=1e9, floor=0.01)

    drawn = list(islice(rows, 10))

    assert all(len(set(drawn[place : place + 4])) == 4 for place in range(7))


def test_without_weights_every_row_comes_once_a_pass() -> None:
    rows = made([0.5] * 9, weigh="none")

    passes = [list(rows) for _ in range(3)]

    assert [sorted(one) for one in passes] == [list(range(9))] * 3
    assert passes[0] != passes[1]


def test_two_rows_and_one_row_are_enough() -> None:
    assert len(list(made([0.5]))) == 1
    assert sorted(made([0.5, 0.2])) in ([0, 1], [0, 0], [1, 1])


def step(rows: Curriculum, number: int, loader: object = None) -> tuple[list[int], dict[str, float]]:
    """Draw a batch of four in a pass of its own, and let even rows be right twice of five, odd ones always."""
    drawn = list(islice(rows, 4)) if loader is None else [next(loader) for _ in range(4)]  # type: ignore[call-overload]
    uids = [f"step{number:06d}-prompt{place:06d}" for place in range(4)]
    rows.name(uids)
    groups = {
        uid: [1.0, 1.0, 0.0, 0.0, 0.0] if row % 2 == 0 else [1.0] * 5 for uid, row in zip(uids, drawn, strict=True)
    }
    return drawn, rows.learn(groups, refilled=True)


def test_it_learns_which_rows_teach() -> None:
    rows = made([None] * 20)

    for number in range(60):
        step(rows, number)
    late = Counter(row % 2 for number in range(60, 120) for row in step(rows, number)[0])

    assert late[0] > 2 * late[1]


def test_rows_that_were_not_named_are_not_learned_from() -> None:
    rows = made([None] * 20)
    list(islice(rows, 3))  # a last, short batch, which the loader drops
    before = rows.state_dict()["right"]

    assert rows.learn({"step000001-prompt000000": [1.0, 0.0]}, refilled=True) == {}
    assert (rows.state_dict()["right"] == before).all()


def test_a_group_of_one_says_nothing() -> None:
    rows = made([None] * 20)
    next(iter(rows))
    rows.name(["a"])

    assert rows.learn({"a": [1.0]}, refilled=True) == {}


def test_it_goes_on_where_it_was_saved_in_the_middle_of_a_pass() -> None:
    """As the loader does it: the sampler's state, then a new pass, then the state of the pass."""
    rows = made([0.0, 0.3, None, 1.0] * 5)
    loader = iter(rows)
    for number in range(3):
        step(rows, number, loader)
    saved = pickle.dumps((rows.state_dict(), loader.state_dict()))
    next_steps = [step(rows, number, loader) for number in (3, 4)]

    again = made([0.0, 0.3, None, 1.0] * 5)
    of_the_rows, of_the_pass = pickle.loads(saved)
    again.load_state_dict(of_the_rows)
    loader = iter(again)
    loader.load_state_dict(of_the_pass)

    assert [step(again, number, loader) for number in (3, 4)] == next_steps
    assert next(loader, None) is None  # five steps of four are the pass of twenty


def test_prompts_in_flight_are_learned_from_after_a_resume() -> None:
    rows = made([None] * 20)
    drawn = next(iter(rows))
    rows.name(["a"])
    again = made([None] * 20)
    again.load_state_dict(rows.state_dict())

    again.learn({"a": [1.0, 1.0, 1.0]}, refilled=False)

    assert again.state_dict()["right"][drawn] == 3


def test_lost_prompts_are_forgotten() -> None:
    rows = made([None] * 20)
    list(islice(rows, 2))
    rows.name(["a", "b"])

    rows.forget({"b"})

    assert list(rows.state_dict()["in_flight"]) == ["b"]


def test_the_share_of_even_draws_is_told_without_bias() -> None:
    """The weights prefer one half of the rows, which teach often; rows outside the band never teach."""
    random = np.random.default_rng(0)
    rows = made([0.5, 0.02] * 50, [0.0] * 100, weigh="difficulty", strength=1e9)
    shares = []
    for number in range(400):
        drawn = list(islice(rows, 4))
        uids = [f"{number}-{place}" for place in range(4)]
        rows.name(uids)
        groups = {
            uid: [float(value) for value in random.random(5) < (0.5 if row % 2 == 0 else 0.02)]
            for uid, row in zip(uids, drawn, strict=True)
        }
        shares.append(rows.learn(groups, refilled=True))
    teach = [1 - p**5 - (1 - p) ** 5 for p in (0.5, 0.02)]

    weighted = sum(one * one for one in (teach[0], 0.1)) / (teach[0] + 0.1)
    assert np.mean([one["curriculum/teaching_share"] for one in shares]) == pytest.approx(weighted, abs=0.05)
    evenly = np.mean([one["curriculum/teaching_share_evenly"] for one in shares])
    assert evenly == pytest.approx(sum(teach) / 4, abs=0.06)


def test_saved_refills_are_the_groups_that_even_draws_would_have_needed_more() -> None:
    rows = made([0.5] * 8, [0.0] * 8, strength=1e9)
    list(islice(rows, 4))
    rows.name(list("abcd"))

    metrics = rows.learn({uid: [1.0, 0.0] for uid in "abcd"}, refilled=True)

    assert metrics["curriculum/teaching_share"] == 1.0
    assert metrics["curriculum/teaching_share_evenly"] == pytest.approx(0.5, abs=1e-6)
    assert metrics["curriculum/refills_saved"] == pytest.approx(4, abs=1e-5)
    list(islice(rows, 4))
    rows.name(list("efgh"))
    assert "curriculum/groups_saved" in rows.learn({uid: [1.0, 0.0] for uid in "efgh"}, refilled=False)


@pytest.mark.parametrize(("rate", "inside"), [(0.1, True), (0.9, True), (0.95, False), (0.0, False), (None, False)])
def test_a_band_has_both_ends_and_no_row_without_a_rate(rate: float | None, inside: bool) -> None:
    assert replace(SETTINGS, band=(0.1, 0.9)).in_band(rate) is inside
    assert SETTINGS.in_band(rate)
