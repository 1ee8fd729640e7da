import itertools
import random

import pytest

from medix_r1.errors import ConfigError
from medix_r1.scoring.judging import band
from medix_r1.scoring.judging.band import Band
from medix_r1.scoring.judging.band_verb import as_fields, choose, draw
from medix_r1.scoring.judging.kinds import Rated
from tests.support.problems import only


def row(probability: float, right: bool, question: int = 0) -> Rated:
    return Rated("a", probability, float(right), question)


def pairs(count: int, seed: int = 1) -> list[Rated]:
    """The judge's P(YES) is right as often as it says, so the errors lie around 1/2."""
    chance = random.Random(seed)
    probabilities = [chance.random() for _ in range(count)]
    return [
        row(p, chance.random() < p**2 / (p**2 + (1 - p) ** 2), number // 2) for number, p in enumerate(probabilities)
    ]


def errors(rows: list[Rated], found: Band) -> int:
    return sum(found.says(one) not in (None, one.is_right) for one in rows)


def held(rows: list[Rated], found: Band) -> int:
    return sum(found.says(one) is None for one in rows)


def test_the_band_lies_where_the_errors_are():
    rows = [row(p, p > 0.5) for p in (0.01, 0.02, 0.1, 0.9, 0.95, 0.99)] + [row(0.4, True), row(0.6, False)]
    found = band.choose(rows, 0.25)
    assert 0.1 < found.low < 0.4
    assert 0.6 < found.high < 0.9
    assert errors(rows, found) == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_no_other_band_of_this_share_has_fewer_errors(share, seed):
    rows = pairs(40, seed)
    found = band.choose(rows, share)
    assert held(rows, found) <= share * len(rows)

    values = sorted({one.first for one in rows})
    limits = [0.0, *[(a + b) / 2 for a, b in itertools.pairwise(values)], 1.0]
    others = [Band(low, high) for low in limits for high in limits if low <= high]
    allowed = [errors(rows, one) for one in others if held(rows, one) <= share * len(rows)]
    assert errors(rows, found) == min(allowed)


def test_equal_probabilities_are_not_parted():
    rows = [row(0.5, number % 2 == 0) for number in range(10)] + [row(0.01, False), row(0.99, True)]
    assert held(rows, band.choose(rows, 0.5)) == 0
    assert held(rows, band.choose(rows, 0.9)) >= 10


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_probabilities_of_exactly_0_and_1(p):
    rows = [row(p, True), row(p, False), row(1 - p, True), row(1 - p, False)]
    found = band.choose(rows, 0.5)
    assert held(rows, found) <= 2


def test_a_band_may_lie_beside_one_half_and_moves_the_limit():
    rows = [row(p / 100, p > 20) for p in range(100)]
    found = band.choose(rows, 0.0)
    assert 0.2 < found.low == found.high < 0.21
    assert errors(rows, found) == 0


def test_a_point_counts_the_strong_judge_as_right():
    rows = [row(0.1, False), row(0.1, True), row(0.5, True), row(0.9, True)]
    point = band.measure(rows, Band(0.3, 0.7), 0.25)
    assert (point.share, point.agreement.share) == (0.25, 0.75)


def test_more_strong_calls_agree_more():
    points = band.curve(pairs(600, 1), pairs(600, 2))
    agreed = [point.agreement.share for point in points]
    assert agreed[0] + 0.1 < agreed[-1]
    assert all(later >= earlier - 0.02 for earlier, later in itertools.pairwise(agreed))
    assert all(abs(point.share - point.wanted) < 0.06 for point in points)


def test_the_smallest_share_for_an_agreement():
    rows = pairs(600)
    found = band.smallest_share(rows, 0.95)
    assert found is not None
    assert 0.1 < found < 0.6
    assert band.measure(rows, band.choose(rows, found), found).agreement.share >= 0.95
    below = found - 0.01
    assert band.measure(rows, band.choose(rows, below), below).agreement.share < 0.95


def test_no_question_is_on_both_sides():
    first, second = band.halves(pairs(100))
    assert not {one.question for one in first} & {one.question for one in second}
    assert len(first) + len(second) == 100
    assert band.halves(pairs(100)) == (first, second)


def test_a_choice_with_and_without_pairs_to_measure_on():
    chosen = choose(pairs(400), share=0.25, agreement=None)
    assert (chosen.chosen_on, chosen.measured_on) == (200, 200)
    held_out = choose(pairs(400), pairs(100, 7), share=0.25, agreement=None)
    assert (held_out.chosen_on, held_out.measured_on) == (400, 100)
    assert held_out.overrides.startswith(f"judge.client.low={held_out.chosen.band.low:.6g} judge.client.high=")
    fields = as_fields(held_out)
    assert len(fields["curve"]) == len(band.SHARES)
    assert fields["chosen"]["wanted"] == 0.25


def test_a_choice_by_agreement():
    assert choose(pairs(400), share=0.25, agreement=0.99).chosen.wanted > 0.25
    assert choose(pairs(400), share=0.25, agreement=0.5).chosen.wanted == 0.0


@pytest.mark.parametrize("rows", [[], [row(0.1, False, 1)], [row(0.1, False, n) for n in range(50)]])
def test_too_few_pairs(rows):
    with pytest.raises(ConfigError, check=only(("FILE", "too-few-pairs"))):
        choose(rows, share=0.25, agreement=None)


def test_an_agreement_that_only_the_strong_judge_itself_reaches():
    rows = [row(0.5, number % 2 == 0, number) for number in range(40)]
    with pytest.raises(ConfigError, check=only(("--agreement", "not-reached"))):
        choose(rows, rows, share=0.25, agreement=0.9)


def test_the_curve_is_drawn(tmp_path):
    draw(tmp_path / "plots" / "curve.png", choose(pairs(200), share=0.25, agreement=None))
    assert (tmp_path / "plots" / "curve.png").read_bytes().startswith(b"\x89PNG")
