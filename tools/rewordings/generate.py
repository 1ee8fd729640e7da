"""The cases of one half: a fixed number of each kind, drawn by a fixed seed."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable

from tools.rewordings.case import PER_KIND, Case
from tools.rewordings.right import rewordings
from tools.rewordings.several import attacks
from tools.rewordings.terms import Half, capital
from tools.rewordings.wrong import wrong_answers

WRONG_PER_KIND = 60
_SEED = "rewordings 1"


def cases(half: Half) -> list[Case]:
    """All cases of one half, in a fixed order; no two have the same reference and answer."""
    found: list[Case] = []
    taken: set[tuple[str, str]] = set()
    for made, most in ((rewordings(half), PER_KIND), (attacks(half), PER_KIND), (wrong_answers(half), WRONG_PER_KIND)):
        found += _draw(made, most, taken)
    return found


def _draw(made: Iterable[Case], most: int, taken: set[tuple[str, str]]) -> list[Case]:
    """`most` of each kind; where a kind has forms that are held back, half of them are of those."""
    by_form: dict[str, dict[str, list[Case]]] = defaultdict(lambda: defaultdict(list))
    for case in made:
        key = (case.reference.casefold(), case.answer.casefold())
        if key not in taken and capital(case.answer) != case.reference:
            taken.add(key)
            by_form[case.kind][case.form].append(case)
    found = []
    for kind, forms in by_form.items():
        for form in sorted(forms, reverse=True):  # shared ones first
            some = forms[form]
            random.Random(f"{_SEED}/{kind}/{form}").shuffle(some)
            found += [dataclasses.replace(case, answer=_begin(case)) for case in some[: most // len(forms)]]
    return found


def _begin(case: Case) -> str:
    """Three answers of four begin with a capital letter, as models write them."""
    number = hashlib.sha256(f"{case.reference}/{case.answer}".encode()).digest()[0]
    return capital(case.answer) if number % 4 and case.kind not in ("letter_case", "lettered") else case.answer
