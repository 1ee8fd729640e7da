"""What counts as an answer with alternatives, by golden cases with reasons."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from medix_r1.rewards.alternatives import _DATA, _PHRASES, alternatives
from tests.support.scaling import is_linear

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "alternatives.yaml").read_text(encoding="utf-8"))
FINE = [*GOLDEN["one_answer"], *GOLDEN["known_limits"]["missed"]]
WORDS = [*_PHRASES, "and", "-and-", "plus", "OR", "yes", "no", "left", "right lung", "x-ray", "a"]
CAUGHT = [*GOLDEN["alternatives"], *GOLDEN["known_limits"]["hit"]]


@pytest.mark.parametrize(("answer", "reference", "why"), FINE, ids=[f"{case[0]} | {case[1]}" for case in FINE])
def test_one_answer(answer: str, reference: str, why: str) -> None:
    assert not alternatives(answer, reference), why


@pytest.mark.parametrize(("answer", "reference", "why"), CAUGHT, ids=[f"{case[0]} | {case[1]}" for case in CAUGHT])
def test_several_answers(answer: str, reference: str, why: str) -> None:
    assert alternatives(answer, reference), why


def test_each_rival_is_counted_once() -> None:
    """`right` is short, of the reference's kind and the reference with another side in it, all at once."""
    assert alternatives("left, right", "left").total() == 1


def test_the_qualifiers_are_words() -> None:
    """YAML reads a bare on, no or yes as a truth value."""
    lists = [*_DATA["kinds"].values(), _DATA["fillers"], _DATA["restatements"]]
    words = [word for words in lists for word in words]

    assert all(isinstance(word, str) and word == word.lower() for word in words)
    assert not [words for words in lists if len(set(words)) < len(words)]


@settings(max_examples=400)
@given(*[st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)] * 2)
def test_letters_alone_are_what_the_long_way_makes_of_them(answer: str, reference: str) -> None:
    """The fast path must not change the result. A full stop behind the answer avoids it and means nothing."""
    assert alternatives(answer, reference) == alternatives(f"{answer} .", reference)


@pytest.mark.parametrize("text", [", i.e. ", ", i.e., a and ", "left, ", " , that is", "a. "])
def test_hostile_text_takes_linear_time(text: str) -> None:
    assert is_linear(lambda size: alternatives("chest" + text * size, "chest"), 5_000)
