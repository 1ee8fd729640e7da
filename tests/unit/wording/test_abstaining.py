"""The rule for answers that say that they do not know: it never takes another answer for one."""

from pathlib import Path

import pytest

from medix_r1.host.yaml_text import read_yaml
from medix_r1.wording.abstaining import abstains

ANSWERS = read_yaml(Path(__file__).with_name("abstaining.yaml"))
LATER = read_yaml(Path(__file__).with_name("abstaining_later.yaml"))


@pytest.mark.parametrize("answer", ANSWERS["false"])
def test_no_other_answer_is_taken_for_one(answer):
    assert not abstains(answer)
    assert not abstains(f"**{answer.upper()}**")


def test_most_of_them_are_found():
    found = [answer for answer in ANSWERS["true"] if abstains(answer)]

    assert len(found) >= 0.75 * len(ANSWERS["true"])
    assert all(abstains(answer.upper().replace("'", "\u2019")) for answer in found)


def test_a_long_text_is_none_and_takes_no_time():
    assert not abstains("I don't know " * 10_000)
    assert not abstains("i do not know" + " that" * 50 + " x")


def test_two_hundred_later_answers_as_the_page_says():
    """docs/calibration.md quotes both figures."""
    assert len({*LATER["true"], *LATER["false"]}) == 200
    assert not {*LATER["true"], *LATER["false"]} & {*ANSWERS["true"], *ANSWERS["false"]}
    assert [answer for answer in LATER["false"] if abstains(answer)] == []
    assert sum(map(abstains, LATER["true"])) == 65
