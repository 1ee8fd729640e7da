"""Single wrong answers: no rule need see them, judge and embedder must."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tools.rewordings import numbers
from tools.rewordings.case import Case
from tools.rewordings.offered import offers
from tools.rewordings.templates import writings
from tools.rewordings.terms import Half, capital, parts, rows_of

_KINDS = {"named": "another_thing", "signed": "another_thing", "drug": "another_dose_or_drug"}
_NEGATED = ("no {}", "{} is excluded", "{} has resolved", "absence of {}")


def wrong_answers(half: Half) -> Iterator[Case]:
    """Every single wrong answer of one half."""
    for offer in offers(half):
        kind = _KINDS.get(offer.kind, f"another_{offer.kind}")
        for other in offer.others[:4]:
            yield _wrong(kind, offer.reference, other, offer.kind)
    for row in rows_of("measures", half, "amount", "unit"):
        if unit := numbers.OTHER_SCALES.get(row["unit"]):
            yield _wrong("another_unit", f"{row['amount']} {row['unit']}", f"{row['amount']} {unit}", "quantity")
    for row in rows_of("absent", half, "first", "second"):
        for frame in _NEGATED:
            yield _wrong("negated", row["first"], frame.format(row["first"]), "negation")
        yield _wrong("not_negated", f"no {row['first']}", row["first"], "negation")
    for row in rows_of("yes_no", half, "about"):
        yield _wrong("not_negated", row["answer"], {"yes": "no", "no": "yes"}[row["answer"]], "yes or no")
    yield from _lists(half)


def _lists(half: Half) -> Iterator[Case]:
    """One thing of a list is another one."""
    comma = writings("shared", "lists")[0]
    rows = rows_of("lists", half, "items")
    for row in rows:
        things = list(parts(row["items"]))
        others = [parts(other["items"])[0] for other in rows if other["group"] == row["group"] and other != row]
        others = [other for other in others if other not in things]
        if others:
            rng = random.Random(row["items"])
            changed = [*things]
            changed[rng.randrange(len(things))] = rng.choice(others)
            yield _wrong("another_in_the_list", comma.write(things), comma.write(changed), "list")


def _wrong(kind: str, reference: str, answer: str, what: str) -> Case:
    return Case(kind, capital(reference), answer, 1, "wrong", what, "shared")
