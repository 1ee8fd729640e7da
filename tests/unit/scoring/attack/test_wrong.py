"""Wrong answers are wrong with certainty, or there are none."""

from __future__ import annotations

import random

import pytest

from medix_r1.scoring.attack.wrong import Target, others_of_a_kind, wrong_answers

POOL = ["liver", "spleen", "pneumonia", "MRI", "chest", "no", "3 cm", "hepatic", "left lung"]


def made(reference: str, choices: tuple[str, ...] = (), accepted: tuple[str, ...] = ()) -> dict[str, str]:
    target = Target("key", "What is it?", reference, choices, accepted)
    return {one.how: one.text for one in wrong_answers(target, POOL, random.Random(1))}


@pytest.mark.parametrize(
    ("reference", "how", "text"),
    [
        ("<CT_SCAN>liver", "another_reference", "spleen"),
        ("<X_RAY>no", "other_verdict", "yes"),
        ("Yes", "other_verdict", "no"),
        ("<X_RAY>left lung", "other_side", "right lung"),
        ("28 mm", "other_number", "86 mm"),
        ("pneumonia", "denied", "no pneumonia"),
    ],
)
def test_kinds_of_wrong_answers(reference: str, how: str, text: str) -> None:
    assert made(reference)[how] == text


@pytest.mark.parametrize(
    ("reference", "how"),
    [
        ("both lungs, left and right", "other_side"),
        ("1:2", "other_number"),
        ("28 x 27 mm", "other_number"),
        ("no effusion", "denied"),
        ("yes, a small one", "other_verdict"),
        ("no", "another_reference"),
        ("something nobody knows", "another_reference"),
    ],
)
def test_what_is_not_certain_is_not_made(reference: str, how: str) -> None:
    assert how not in made(reference)


def test_no_other_name_of_the_reference_is_a_wrong_answer() -> None:
    target = Target("key", "Which organ?", "liver")
    assert list(others_of_a_kind(target, ["hepatic", "the liver", "Liver", "left liver", "spleen"])) == ["spleen"]
    known = Target("key", "Which organ?", "liver", accepted=("spleen",))  # as the row says
    assert list(others_of_a_kind(known, ["spleen", "kidney"])) == ["kidney"]


@pytest.mark.parametrize(("reference", "right"), [("B", "lung"), ("lung", "lung"), ("(B)", "lung")])
def test_options_are_told_apart_by_their_label(reference: str, right: str) -> None:
    found = made(reference, choices=("heart", "lung", "brain"))
    assert found["another_option"] in ("heart", "brain")
    assert right not in found.values()


def test_an_option_that_is_not_there_makes_no_other_one_wrong() -> None:
    assert "another_option" not in made("kidney", choices=("heart", "lung"))


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("The answer is", True),
        ("Livers are large", False),
        ("LIVER", False),
        ("hepatic", False),
        ("silver", True),
        ("cirrhosis of the liver.", False),
    ],
)
def test_texts_that_hold_a_word_of_the_right_answer_are_left_out(text: str, free: bool) -> None:
    assert Target("key", "Which organ?", "<CT_SCAN>liver").is_free_of_right(text) == free


def test_the_letter_of_the_right_option_is_a_word_of_it() -> None:
    target = Target("key", "Which?", "lung", ("heart", "lung"))
    assert [target.is_free_of_right(text) for text in ("(A)", "(B)")] == [True, False]
