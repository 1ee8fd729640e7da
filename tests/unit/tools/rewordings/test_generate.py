"""The cases: fixed, enough of them, the two halves apart, labels that agree with what was made."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tools.rewordings import templates, terms
from tools.rewordings.case import PER_KIND, Case
from tools.rewordings.generate import cases
from tools.rewordings.terms import Half

HALVES: tuple[Half, ...] = ("dev", "test", "later")
ROOT = Path(__file__).parents[4]


@functools.cache
def made(half: Half) -> list[Case]:
    return cases(half)


def labelled(half: Half, label: str) -> list[Case]:
    return [case for case in made(half) if case.label == label]


def test_there_are_terms_enough() -> None:
    assert terms.number_of_terms() >= 1000


@pytest.mark.parametrize("half", HALVES)
def test_there_are_cases_enough_and_no_kind_outweighs_the_others(half: Half) -> None:
    for label in ("right", "several"):
        found = labelled(half, label)
        assert len(found) >= 3000
        assert max(Counter(case.kind for case in found).values()) == PER_KIND
    assert len(labelled(half, "wrong")) >= 300


def test_another_process_makes_the_same() -> None:
    command = [sys.executable, "-c", "from tools.rewordings.generate import cases; print(repr(cases('dev')))"]
    said = subprocess.run(
        command, cwd=ROOT, env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert said.stdout.strip() == repr(made("dev"))


@pytest.mark.parametrize("half", HALVES)
def test_no_case_occurs_twice(half: Half) -> None:
    found = Counter((case.reference.casefold(), case.answer.casefold()) for case in made(half))
    assert [pair for pair, number in found.items() if number > 1] == []


def test_dev_test_and_later_share_no_case_and_no_term() -> None:
    for one, other in itertools.combinations(HALVES, 2):
        first, second = ({(case.reference, case.answer) for case in made(half)} for half in (one, other))
        assert {pair for pair in first & second if not _is_of_few_answers(pair[0])} == set()
        some, more = ({term.name for term in (*terms.named(half), *terms.signed(half))} for half in (one, other))
        assert some
        assert some & more == set()


def _is_of_few_answers(reference: str) -> bool:
    """Yes, no, normal: there are no two halves of them."""
    return reference.lower() in templates.load("shared")["both_ways"] or reference.isdecimal() or reference.isalpha()


def test_forms_that_are_held_back_do_not_occur_in_dev() -> None:
    assert {case.form for case in made("dev")} == {"shared"}
    for half in HALVES[1:]:
        forms = Counter(case.form for case in made(half) if case.label != "wrong")
        assert forms["held back"] >= 0.3 * forms.total()


def test_no_form_is_in_both_files() -> None:
    shared, held_back = templates.load("shared"), templates.load("held back")
    for kind, frames in held_back["frames"].items():
        assert set(frames) & set(shared["frames"].get(kind, ())) - {None} == set(), kind
    for kind, ways in templates.devices("held back").items():
        assert set(ways) & set(templates.devices("shared").get(kind, ())) == set(), kind
    assert set(templates.writings("shared", "lists")) & set(templates.writings("held back", "lists")) == set()


@pytest.mark.parametrize("half", HALVES)
def test_labels_agree_with_what_is_offered(half: Half) -> None:
    for case in made(half):
        assert case.answer.strip()
        assert case.answer != case.reference
        assert (case.n >= 2) == (case.label == "several"), case


@pytest.mark.parametrize("half", HALVES)
def test_an_attack_names_its_reference_and_others(half: Half) -> None:
    """Where each thing is written out; abbreviations, plurals and shared heads write them otherwise."""
    others = {"abbreviated", "inflected", "shared_head", "value_range", "another_list", "longer_list"}
    for case in labelled(half, "several"):
        if case.kind not in others and case.what not in ("yes or no", "negation"):
            assert case.reference.lower() in case.answer.lower(), case
            assert len(case.answer) > len(case.reference) + 1, case


@pytest.mark.parametrize("half", HALVES)
def test_other_things_are_neither_the_reference_nor_a_kind_of_it(half: Half) -> None:
    for case in labelled(half, "wrong"):
        if case.kind == "another_thing":
            assert not set(case.reference.lower().split()) <= set(case.answer.lower().split()), case
