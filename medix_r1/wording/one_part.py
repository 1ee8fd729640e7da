"""Several things in an answer without a joint: a range of values, or names that follow each other."""

from __future__ import annotations

import re
from collections.abc import Set

from medix_r1.wording.comparing import Likeness, compare, other_value
from medix_r1.wording.joints import COMPOUND
from medix_r1.wording.parts import Part, split
from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.terms import LISTS, content, longest_reading, plain_stem, readings

_TO = r"\s?(?:-|to|through)\s?"
RANGE = re.compile(
    rf"(?<![\w.-])(?:(\d{{1,4}}){_TO}(\d{{1,4}})|([a-e]){_TO}([a-e])|([ivx]{{1,4}}){_TO}([ivx]{{1,4}}))(?![\w.-])"
)
_DENIALS = frozenset(LISTS["denials"])
_SIGNS = re.compile(r"[^\w]")  # "PET-MRI" is "PET/MRI"
_COMBINED = frozenset(("sequence", "view", "stain"))  # "T2-FLAIR" is one
_FEWEST = 3  # names that follow each other
_MOST = 40  # words that are looked at


def run_together(answer: str, reference: str) -> tuple[str, ...]:
    """The rivals among things of one kind that follow each other with nothing between them, from three on."""
    words = [plain_stem(word) for word in content(normalize_answer(answer))]
    if not _FEWEST <= len(words) <= _MOST or not _DENIALS.isdisjoint(words):
        return ()
    named: dict[str, list[str]] = {}
    covered = place = 0
    while place < len(words):
        size, found = longest_reading(words[place : place + 4])
        phrase = " ".join(words[place : place + size])
        for kind in {term.kind for term in found}:
            named.setdefault(kind, []).append(phrase)
        covered += size if found else 0
        place += max(size, 1)
    if covered <= len(words) * 2 / 3:
        return ()
    wanted = " ".join(plain_stem(word) for word in content(normalize_answer(reference)))
    things = {term.thing for term in readings(tuple(wanted.split()))[0]}
    for phrases in named.values():
        rivals = tuple(
            dict.fromkeys(phrase for phrase in phrases if phrase not in wanted and not _names(phrase, things))
        )
        if len(set(phrases)) >= _FEWEST and 1 < len(rivals) < len(set(phrases)):
            return rivals
    return ()


def _names(phrase: str, things: Set[int]) -> bool:
    return any(term.thing in things for term in readings(tuple(phrase.split()))[0])


def spanned(answer: str, reference: str) -> tuple[str, ...]:
    """The first and last value of a range that an answer gives where the reference has one value: "grade 1-3"."""
    spelled = normalize_answer(answer)
    span = RANGE.search(spelled)
    if span is None or RANGE.search(normalize_answer(reference)):
        return ()
    ends = [Part.of(spelled[: span.start()] + value + spelled[span.end() :]) for value in span.groups() if value]
    wanted = split(reference)
    if len(wanted) != 1 or len(ends) != 2 or any(len(end.stems) != len(wanted[0].stems) for end in ends):
        return ()
    known = [end.stems == wanted[0].stems or other_value(end, wanted[0]) for end in ends]
    return tuple(end.text for end in ends) if all(known) and ends[0].stems != ends[1].stems else ()


def hyphenated(answer: str, reference: str) -> tuple[str, ...]:
    """The rivals among things of one kind that hyphens alone join: "malaria-dengue" for malaria, and not "PET-CT"."""
    if "-" not in answer:
        return ()
    spelled, wanted = normalize_answer(answer), split(reference)
    if len(wanted) != 1 or COMPOUND.search(spelled) or _SIGNS.sub("", spelled) == _SIGNS.sub("", wanted[0].text):
        return ()
    parts = [Part.of(piece) for piece in spelled.split("-")]
    if not all(readings(part.plain) and not readings(part.plain)[1] and readings(part.plain)[0] for part in parts):
        return ()
    likeness = [compare(part, wanted[0]) for part in parts]
    if any(term.kind in _COMBINED for part in parts for term in readings(part.plain)[0]):
        return ()
    if likeness.count(Likeness.SAME) != 1 or set(likeness) != {Likeness.SAME, Likeness.OTHER}:
        return ()
    return tuple(part.text for part, one in zip(parts, likeness, strict=True) if one is Likeness.OTHER)
