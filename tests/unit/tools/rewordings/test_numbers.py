"""Numbers in other clothes."""

from __future__ import annotations

import pytest

from tools.rewordings import numbers


@pytest.mark.parametrize(
    ("amount", "unit", "expected"),
    [
        ("28", "mm", ("2.8", "cm")),
        ("1.5", "g", ("1500", "mg")),
        ("250", "mcg", ("0.25", "mg")),
        ("38", "weeks", ("266", "days")),
        ("72", "bpm", None),
    ],
)
def test_another_unit_says_the_same(amount: str, unit: str, expected: tuple[str, str] | None) -> None:
    assert numbers.converted(amount, unit) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("28", ["26", "27", "29", "30", "31"]),
        ("2.8", ["2.6", "2.7", "2.9", "3", "3.1"]),
        ("1", ["2", "3", "4"]),
        ("1500000", ["1300000", "1400000", "1600000", "1700000", "1800000"]),
        ("-90", ["-110", "-100", "-80", "-70", "-60"]),
        ("120/80", ["100/70", "110/75", "130/85", "140/90"]),
    ],
)
def test_neighbours_are_other_numbers_of_the_same_kind(amount: str, expected: list[str]) -> None:
    assert numbers.neighbours(amount) == expected


def test_numerals_go_both_ways_as_far_as_six() -> None:
    assert [numbers.other_numeral(value) for value in ("IV", "4", "0", "7", "B")] == ["4", "IV", None, None, None]


def test_separators_and_endings() -> None:
    assert numbers.grouped("1500000", ",") == "1,500,000"
    assert [numbers.padded(amount) for amount in ("2.8", "5")] == ["2.80", "5.0"]
    assert [numbers.ordinal_ending(day) for day in (1, 2, 3, 4, 11, 22)] == ["st", "nd", "rd", "th", "th", "nd"]
