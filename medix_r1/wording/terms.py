"""Words and medical terms: word stems, the lists of words.yaml, and the kinds of things of terms.txt."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medix_r1.host.yaml_text import read_yaml

_FOLDER = Path(__file__).parent
LISTS: Mapping[str, Any] = read_yaml(_FOLDER / "words.yaml")
KINDS = {  # qualifying word → the kinds that it belongs to
    word: frozenset(kind for kind, words in LISTS["kinds"].items() if word in words)
    for words in LISTS["kinds"].values()
    for word in words
}
_ALIKE = [frozenset(words) for words in LISTS["alike"]]
FILLERS = frozenset(LISTS["fillers"])
QUALIFYING = frozenset([*KINDS, *LISTS["free"]])
_STOP_WORDS, _EMPTY_HEADS, _LETTERED = (frozenset(LISTS[name]) for name in ("stop", "empty heads", "lettered"))
_NUMBERS = {word: str(value) for value, word in enumerate(LISTS["numbers"], start=1)}
_ORDINALS = {word: f"{value}th" for value, word in enumerate(LISTS["ordinals"], start=1)}
_ORDINALS |= {"1st": "1th", "2nd": "2th", "3rd": "3th"}
_STAGES = re.compile(r"[pcy]t\d")  # by pathology or clinic, the stage is the same
_WORD = re.compile(
    r"\d+-year-old|\d+(?:[./:=+^x]\d+)*[a-z]?(?![^\W_])|[^\W_]+(?:'s?(?![^\W_]))?(?:[+-](?!\w))?|[%°][a-z]?"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One reading of a phrase: its kind, the thing that it names, and the family of things that go together."""

    kind: str
    thing: int
    family: int


def words(text: str) -> list[str]:
    """The words of a normalised text as they are written; a hyphen separates words, except in an age."""
    if not text.isascii():
        text = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return _WORD.findall(text)


@functools.lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """One form of a word: that of `plain_stem`, and `hepatic` as liver."""
    base = plain_stem(word)
    return _lexicon().names_of_words.get(base, base)


@functools.lru_cache(maxsize=8192)
def plain_stem(word: str) -> str:
    """Singular, American spelling, digits: `diarrhoeas` → diarrhea, `metastases` → metastasis, `crohn's` → crohn."""
    if number := _NUMBERS.get(word) or _ORDINALS.get(word):
        return number
    if _STAGES.match(word):
        return word[1:]
    word = "nondisplaced" if word == "undisplaced" else word.removesuffix("'s").removesuffix("'")
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith(("oses", "yses", "tases", "eses")):
        word = f"{word[:-2]}is"
    elif word.endswith(("xes", "ches", "shes", "sses")):
        word = word[:-2]
    elif word.endswith("ae") or (word.endswith("s") and not word.endswith(("ss", "us", "is", "as", "ps"))):
        word = word[:-1]
    for british, american in (("disk", "disc"), ("ae", "e"), ("oe", "e"), ("our", "or")):
        if british in word[:-1]:
            word = word.replace(british, american)
    return f"{word[:-2]}er" if word.endswith("tre") else word


def content(text: str) -> tuple[str, ...]:
    """The words of a normalised text without those that carry no meaning of their own; the a of "hepatitis a" does."""
    spelled = words(text)
    found: list[str] = []
    for place, word in enumerate(spelled):
        is_name = word == "a" and bool(found) and (place == len(spelled) - 1 or found[-1] in _LETTERED)
        if found and found[-1] == "non":
            found[-1] = f"non{word}"
        elif is_name or word not in _STOP_WORDS:
            found.append(word)
    return tuple(found)


def is_alike(one: str, other: str) -> bool:
    """Whether two qualifying words mean about the same, as severe and marked do."""
    return any(one in words and other in words for words in _ALIKE)


class _Lexicon:
    """terms.txt: phrase (plain stems) → its readings, and word → the one word that stands for the same organ."""

    def __init__(self) -> None:
        self.terms: dict[str, list[Term]] = {}
        self.names_of_words: dict[str, str] = {}
        self._names: dict[int, list[str]] = {}  # thing → its names
        self._ambiguous: set[str] = set()
        self._things, self._families = itertools.count(), itertools.count()
        kind = ""
        for line in (_FOLDER / "terms.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                kind = line.strip("[]")
            elif line and not line.startswith("#"):
                for group in line.split(";"):
                    first, *others = group.split("<")
                    if others:
                        self._relate(kind, first, others)
                    else:
                        self._add(kind, group.split("~"))
        for name in self._ambiguous:
            del self.names_of_words[name]

    def _add(self, kind: str, things: Sequence[str]) -> None:
        family = next(self._families)
        for names in things:
            thing = next(self._things)
            spelled = [_spelled(name) for name in names.split("=")]
            for name in spelled:
                self._put(name, Term(kind, thing, family))
            if kind in _WITH_ADJECTIVES:
                first, *others = [name for name in spelled if " " not in name] or [""]
                self._ambiguous |= {name for name in others if name in self.names_of_words}
                self.names_of_words |= dict.fromkeys(others, first)

    def _put(self, name: str, term: Term) -> None:
        self.terms.setdefault(name, []).append(term)
        self._names.setdefault(term.thing, []).append(name)

    def _relate(self, kind: str, first: str, others: Sequence[str]) -> None:
        """Give the first thing a family with each of the others, under all their names."""
        for other in others:
            family = next(self._families)
            for name in (first, other):
                known = self.terms.get(_spelled(name), [])
                of_kind = [term for term in known if term.kind == kind] or known
                thing, its_kind = (of_kind[0].thing, of_kind[0].kind) if of_kind else (next(self._things), kind)
                for one in dict.fromkeys([_spelled(name), *self._names.get(thing, [])]):
                    self.terms.setdefault(one, []).append(Term(its_kind, thing, family))


def _spelled(name: str) -> str:
    return " ".join(map(plain_stem, content(name.strip())))


_WITH_ADJECTIVES = ("organ", "region", "bone", "brain part", "eye part", "sex")


@functools.cache
def _lexicon() -> _Lexicon:
    return _Lexicon()


def longest_reading(words: Sequence[str]) -> tuple[int, Sequence[Term]]:
    """How many words at the start of some plain stems name a thing, and its readings; 0 where none do."""
    for size in range(len(words), 0, -1):
        if found := _lexicon().terms.get(" ".join(words[:size])):
            return size, found
    return 0, ()


@functools.lru_cache(maxsize=8192)
def readings(phrase: Sequence[str]) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """The readings of the longest end of a phrase that terms.txt has, and the words before that end.

    Args:
        phrase: plain stems, as a tuple.
    """
    for start in range(len(phrase)):
        if found := _lexicon().terms.get(" ".join(phrase[start:])):
            return tuple(found), tuple(phrase[:start])
    if len(phrase) > 1 and phrase[-1] in _EMPTY_HEADS:
        return readings(phrase[:-1])
    return (), tuple(phrase)
