"""Short answers that choose several: letters ("A or B", "L/R") and both verdicts ("no unless yes")."""

from __future__ import annotations

import re
from collections.abc import Set

from medix_r1.wording.terms import LISTS

_LETTERS = re.compile(r"[a-h](?:[^\w.]+(?:(?:or|and|to|through|vs)[^\w]+)?[a-h]){1,7}")
_LETTERS_AND_WORDS = re.compile(r"[^\W_]+(?:'t)?")
_CHOOSING = frozenset(LISTS["choosing"])
_LETTER_RANGE = re.compile(r"\s(?:to|through)\s|-")
_TURN = r"(?:however|unless|but|though|although|or|alternatively|else|otherwise|maybe|possibly|perhaps|then|and|also)"
_BOTH_VERDICTS = re.compile(
    rf"(yes|no)\b(?:[^\w]+(?:{_TURN}\b[^\w]*)*)(yes|no)(?=$|[.,;:!?)\]}}])|(no)\b.{{0,80}}?\b{_TURN}\b[\s,]*yes\b"
)
_PAIRS_OF_LETTERS = {
    frozenset("lr"): {"left", "right", "l", "r"},
    frozenset("yn"): {"yes", "no", "y", "n"},
    frozenset("mf"): {"male", "female", "m", "f", "man", "woman"},
    frozenset("tf"): {"true", "false", "t", "f"},
}
_TWO_LETTERS = re.compile(r"([a-z])[\s,;(]*(?:[-/=|~&+_]|or|and|to|,|;|\()?[\s)]*([a-z])\)?")


def several_letters(answer: str, text: str, wanted: str) -> tuple[str, ...]:
    """The letters that an answer, as given and normalised, chooses beside the wanted one."""
    return _few_letters(text, wanted) or _letters_in_words(answer, wanted)


def _few_letters(text: str, wanted: str) -> tuple[str, ...]:
    """The other letters of "A or B" for A, of "L/R" for left, of "ABCD" for B."""
    if len(wanted) == 1 and wanted in "abcdefgh":
        letters = re.findall(r"\b[a-h]\b", text) if _LETTERS.fullmatch(text) else []
        if not letters and len(text) > 2 and text.isalpha() and "".join(sorted(set(text))) == text <= "h" * 9:
            letters = list(text)
        others = tuple(dict.fromkeys(letter for letter in letters if letter != wanted))
        between = len(letters) == 2 and letters[0] < wanted < letters[1] and bool(_LETTER_RANGE.search(text))
        return others if wanted in letters or between else ()
    if text in ("+/-", "-/+", "±") and wanted in ("positive", "negative", "+", "-"):
        return ("+", "-")
    pair = _TWO_LETTERS.fullmatch(text)
    if pair and wanted in _PAIRS_OF_LETTERS.get(frozenset(pair.groups()), ()):
        return pair.groups()
    return ()


def _letters_in_words(answer: str, wanted: str) -> tuple[str, ...]:
    """The other option letters of "I cannot decide between A and B", where all else is words that choose nothing."""
    if len(wanted) > 1 or len(answer) > 200:
        return ()
    letters: dict[str, None] = {}
    for word in _LETTERS_AND_WORDS.findall(answer):
        if len(word) == 1 and word in "ABCDEFGH":
            letters[word.lower()] = None
        elif word.lower() not in _CHOOSING:
            return ()
    return tuple(letter for letter in letters if letter != wanted) if wanted in letters else ()


def two_verdicts(text: str, words: Set[str]) -> tuple[str, ...]:
    """Both verdicts of a normalised answer, unless the words of the reference have both."""
    found = _BOTH_VERDICTS.match(text)
    if found is None or {"yes", "no"} <= words or (found[1] and found[1] == found[2]):
        return ()
    return ("yes and no",)
