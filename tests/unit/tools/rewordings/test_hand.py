"""The sets that were written by hand."""

from __future__ import annotations

import pytest

from tools.rewordings.hand import NAMES, by_hand


@pytest.mark.parametrize("name", NAMES)
def test_a_set_says_where_it_is_from_and_repeats_no_case(name: str) -> None:
    found = by_hand(name)
    assert found.source.startswith("written by hand for this project on 20")
    assert found.style
    pairs = [(case.reference, case.answer) for case in found.cases]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_offer_one_thing_and_attacks_several(name: str) -> None:
    offered = {label: {case.n for case in by_hand(name).cases if case.label == label} for label in ("right", "several")}
    assert offered["right"] == {1}
    assert min(offered["several"]) == 2
