"""Steps of a rationale, however a row writes them."""

from __future__ import annotations

import pytest

from medix_r1.errors import DataError
from medix_r1.models.rationale import GENERAL, PROMPT, step_criteria, steps_of
from medix_r1.models.rubric import missing_marks
from medix_r1.prompts import load
from tests.support.problems import coded

STEPS = ("The cortex is whole.", "So nothing is broken.")


@pytest.mark.parametrize(
    "value",
    [
        list(STEPS),
        STEPS,
        "The cortex is whole. So nothing is broken.",
        "The cortex is whole.\nSo nothing is broken.",
        "1. The cortex is whole.\n2) So nothing is broken.\n",
        "Step 1: The cortex is whole.\n\nStep 2: So nothing is broken.",
        "- The cortex is whole.\n• So nothing is broken.\n-",
        [*STEPS, " ", "So nothing is broken."],
    ],
)
def test_steps(value: object) -> None:
    assert steps_of(value) == STEPS


@pytest.mark.parametrize("value", [None, "", [], " . "])
def test_no_steps(value: object) -> None:
    assert steps_of(value) == ()


def test_a_number_in_a_sentence_ends_no_step() -> None:
    assert steps_of("The mass has 2.8 cm, e.g. in the left lobe.") == ("The mass has 2.8 cm, e.g. in the left lobe.",)


@pytest.mark.parametrize("value", [3, {"step": "x"}, ["x", 3], [["x"]]])
def test_what_is_no_rationale(value: object) -> None:
    with pytest.raises(DataError, check=coded("not-a-rationale")):
        steps_of(value)


def test_the_prompt_has_its_marks_and_steps_count_alike() -> None:
    assert missing_marks(load(PROMPT)) == []
    assert {criterion.points for criterion in step_criteria(GENERAL)} == {1.0}
