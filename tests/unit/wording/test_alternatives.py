"""What counts as an answer that offers several things, by golden cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medix_r1.host.yaml_text import read_yaml
from medix_r1.wording.alternatives import _JOINING, alternatives
from medix_r1.wording.terms import LISTS
from tests.support.scaling import is_linear

GOLDEN = read_yaml(Path(__file__).parents[1] / "golden" / "alternatives.yaml")
WORDS = [*sorted(_JOINING), "-and-", "OR", "left", "right lung", "x-ray", "a", "liver", "spleen", "pneumonia", "no"]


def test_one_answer() -> None:
    assert [(case, found) for case in GOLDEN["one_answer"] if (found := alternatives(*case))] == []


def test_several_answers() -> None:
    assert [case for case in GOLDEN["several"] if not alternatives(*case)] == []


def test_what_no_form_tells_apart_is_left_to_the_judge() -> None:
    assert [why for answer, reference, why in GOLDEN["for_the_judge"] if alternatives(answer, reference)] == []


def test_an_answer_offers_nothing_beside_itself() -> None:
    texts = {text for case in (*GOLDEN["one_answer"], *GOLDEN["several"]) for text in case}

    assert [text for text in texts if alternatives(text, text)] == []


@pytest.mark.parametrize("dress", ["{}.", '"{}"', "**{}**", "({})", "Answer: {}", "  {}\n", "\\boxed{{{}}}"])
def test_what_dresses_an_answer_changes_nothing(dress: str) -> None:
    several = [case for case in GOLDEN["several"][::4] if not set('\n"()*•|') & set(case[0])]

    assert [case for case in several if not alternatives(dress.format(case[0]), case[1])] == []


def test_rivals_are_named_once() -> None:
    assert alternatives("liver, spleen, spleen or kidney", "liver") == ("spleen", "kidney")


@pytest.mark.parametrize(
    "things", [["fever", "cough", "dyspnea"], ["aspirin", "heparin"], ["kidney", "ureter", "bladder"]]
)
def test_a_set_is_the_same_in_any_order_and_another_with_one_more(things: list[str]) -> None:
    reference = ", ".join(things)

    assert alternatives(" and ".join(reversed(things)), reference) == ()
    assert alternatives("; ".join([*reversed(things), "warfarin", "spleen", "chest pain"]), reference)


def test_the_qualifiers_are_words() -> None:
    """YAML reads a bare on, no or yes as a truth value."""
    values = [
        words for name in ("opposites", "contrasts") for scale in LISTS[name].values() for words in scale.values()
    ]
    lists = [*LISTS["kinds"].values(), *LISTS["alike"], *values]
    lists += [words for words in LISTS.values() if isinstance(words, list) and words is not LISTS["alike"]]

    assert all(isinstance(word, str) and word == word.lower() for words in lists for word in words)
    assert not [words for words in lists if len(set(words)) < len(words)]


@settings(max_examples=300)
@given(*[st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)] * 2)
def test_letters_alone_are_what_the_long_way_makes_of_them(answer: str, reference: str) -> None:
    """The fast path must not change the result. A full stop behind the answer avoids it and means nothing."""
    assert alternatives(answer, reference) == alternatives(f"{answer} .", reference)


@pytest.mark.parametrize(
    "text",
    [
        ", i.e. ",
        ", i.e., a and ",
        "left, ",
        " , that is",
        "a. ",
        " or liver",
        "(",
        '"',
        "1. ",
        "• x ",
        "no ",
        "a/b ",
        " - ",
        "5 mm, ",
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    assert is_linear(lambda size: alternatives("chest" + text * size, "chest"), 500)
