"""The lists in terms/, and which cases a term belongs to: dev, test or later.

A hash divides the lists of terms/ in two halves. Those of terms/later/ were written when the rules had landed: whoever
writes rules may see the names in terms/ while looking for something else.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).with_name("terms")
NAMED = ("diagnoses", "anatomy", "organisms", "imaging", "findings")

Half = Literal["dev", "test", "later"]
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that a question may ask for.

    Attributes:
        name: as in the middle of a sentence.
        group: things that exclude each other as answers share it.
        abbreviation: empty where there is none.
        synonyms: names that mean the same; for names that hold signs, their other spellings.
        details: what may be said of it beside its name.
    """

    name: str
    group: str
    abbreviation: str = ""
    synonyms: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


def half(key: str) -> Half:
    """The half that a term of terms/ belongs to, by a hash of its name, so that a new term moves no other one."""
    return "test" if hashlib.sha256(key.lower().encode()).digest()[0] % 2 else "dev"


@functools.cache
def rows(name: str, later: bool = False) -> tuple[Row, ...]:
    """A list as it stands in terms/, or in terms/later/."""
    with (FOLDER / ("later" if later else "") / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def named(which: Half) -> list[Term]:
    """The terms of one half that have a name, a group, perhaps an abbreviation, synonyms and details."""
    return [
        Term(
            name=row["term"],
            group=row["group"],
            abbreviation=row["abbreviation"],
            synonyms=parts(row["synonyms"]),
            details=parts(row["details"]),
        )
        for name in NAMED
        for row in rows_of(name, which, "term")
    ]


def signed(which: Half) -> list[Term]:
    """Names that hold a slash, a comma, a hyphen, "and" or "or", with their other spellings as synonyms."""
    return [
        Term(row["term"], row["group"], row["abbreviation"], parts(row["spellings"]))
        for row in rows_of("signed", which, "term")
    ]


def rows_of(name: str, which: Half, *key: str) -> list[Row]:
    """The rows of a list that belong to one half, by the columns that name a row."""
    if which == "later":
        return list(rows(name, later=True))
    return [row for row in rows(name) if half(" ".join(row[column] for column in key)) == which]


def parts(text: str) -> tuple[str, ...]:
    """What stands between the bars of a cell."""
    return tuple(part for part in text.split("|") if part)


def capital(text: str) -> str:
    """With a capital first letter; "pH" and "γ-glutamyl" stay as they are."""
    plain = text[:1] in string.ascii_lowercase and not text[1:2].isupper()
    return text[:1].upper() + text[1:] if plain else text


def number_of_terms(later: bool = False) -> int:
    """How many different things can be the right answer."""
    names = {row["term"] for name in (*NAMED, "signed", "normal") for row in rows(name, later)}
    grades = {f"{row['scheme']} {value}" for row in rows("schemes", later) for value in parts(row["values"])}
    others = {
        " ".join(row.values())
        for name in ("absent", "adjectives", "dates", "drugs", "joint", "lists", "measures", "ranges", "sizes", "spine")
        for row in rows(name, later)
    }
    sides = {f"{side} {row['noun']}" for row in rows("sides", later) for side in ("left", "right", "bilateral")}
    return len(names | grades | others | sides)
