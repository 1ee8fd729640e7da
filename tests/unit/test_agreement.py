"""Cohen's kappa, checked against manual calculations and in edge cases."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.agreement import agreement


def spread(table: list[list[int]], names: str) -> tuple[list[str], list[str]]:
    pairs = [(a, b) for i, a in enumerate(names) for j, b in enumerate(names) for _ in range(table[i][j])]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_a_table_worked_out_by_hand() -> None:
    found = agreement(*spread([[20, 5], [10, 15]], "yn"), categories=("y", "n"))
    assert found.table == ((20, 5), (10, 15))
    assert found.count == 50
    assert found.share == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)  # 0.7 observed, 0.5 by chance
    # Fleiss, Cohen and Everitt (1969), with p = (.4, .1, .2, .3), rows (.5, .5), columns (.6, .4)
    a = 0.4 * (1 - 1.1 * 0.6) ** 2 + 0.3 * (1 - 0.9 * 0.6) ** 2
    b = 0.6**2 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
    error = math.sqrt((a + b - (0.4 - 0.5 * 0.6) ** 2) / (0.5**2 * 50))
    assert found.kappa_interval is not None
    assert found.kappa_interval.low == pytest.approx(0.4 - 1.959964 * error, abs=1e-4)
    assert found.kappa_interval.high == pytest.approx(0.4 + 1.959964 * error, abs=1e-4)


def test_wilson_interval_of_the_share() -> None:
    found = agreement(["y"] * 10, ["y"] * 9 + ["n"])
    assert found.share_interval.low == pytest.approx(0.5958, abs=1e-4)  # 9 of 10, a textbook value
    assert found.share_interval.high == pytest.approx(0.9821, abs=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "kappa"),
    [("yyy", "yyy", None), ("ynyn", "ynyn", 1.0), ("yyy", "yny", 0.0), ("yn", "ny", -1.0)],
)
def test_where_the_formula_says_nothing_there_is_no_interval(first: str, second: str, kappa: float | None) -> None:
    found = agreement(first, second)
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
    assert found.kappa_interval is None


@pytest.mark.parametrize(
    ("first", "second", "keywords"),
    [("", "", {}), ("y", "yn", {}), ("y", "m", {"categories": ("y", "n")}), ("y", "y", {"level": 1.0})],
)
def test_wrong_input_is_refused(first: str, second: str, keywords: dict) -> None:
    with pytest.raises(ValueError, match=r"needed|category|level"):
        agreement(first, second, **keywords)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_it_does_not_matter_who_is_first(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    one, other = agreement(first, second), agreement(second, first)
    assert one.share == other.share
    assert (one.kappa is None) == (other.kappa is None)
    if one.kappa is not None:
        assert -1.0 <= one.kappa <= 1.0
        assert one.kappa == pytest.approx(other.kappa)
    assert one.share_interval.low - 1e-9 <= one.share <= one.share_interval.high + 1e-9
