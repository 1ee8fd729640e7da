"""Detects answers that offer several alternatives, in the hope that one of them is right. English only."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medix_r1.bounded_cache import bounded_cache
from medix_r1.grammar import normalize_answer

_PHRASES = [
    *("and/or", "or", "either", "versus", "vs", "alternatively", "differential", "yes and no", "no and yes"),
    *("any of", "all of the above", "none of the above"),
]
_WORDS = re.compile(
    rf"\b(?:{'|'.join(_PHRASES)})\b|\b(?:yes(?:,| &) no|no(?:,| &) yes)\b(?! \w)|"
    r"(?<=[a-z])/(?=[a-z])|(?<=[a-z]) / (?=[a-z])|[;|\n]"
)
# Marks of a list, as in "1. this (B) that". A letter with a full stop is captured: it may be an initial.
_NUMBERED = re.compile(r"(?:^|\s)(?:\d{1,2}[.)]|\((?:\d{1,2}|[a-z])\)|[a-z]\)|([a-z])\.)\s", re.IGNORECASE)
_JOINT = re.compile(r"\s?(,(?!\d)|\.(?=\s)|&|\+|\band\b(?!/)|\bplus\b)\s?")
# Fast path: an answer of letters, blanks and hyphens with none of `_JOINING` in it offers no alternatives.
_LETTERS = re.compile(r"[A-Za-z -]+")
_JOINING = frozenset((*(phrase.split()[0] for phrase in _PHRASES), "and", "plus"))
_NONE: Counter[str] = Counter()
_PAUSES = (",", ".")
_ARTICLE = re.compile(r"^(?:the|an?) ")
_VERDICTS = ("yes", "no")
_DATA: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("qualifiers.yaml").read_text(encoding="utf-8"))
_KINDS = {  # qualifying word → the kinds that it belongs to; fillers belong to none
    word: frozenset(kind for kind, words in _DATA["kinds"].items() if word in words)
    for word in (*_DATA["fillers"], *(word for words in _DATA["kinds"].values() for word in words))
}
_RESTATED = re.compile(rf"\s?,\s?(?:{'|'.join(map(re.escape, _DATA['restatements']))}),?\s")


@bounded_cache
def alternatives(answer: str, reference: str) -> Counter[str]:
    """Count the signs that an answer offers alternatives, minus those that the reference has too.

    Returns:
        sign (a matched word, or a description such as `a numbered list`) → how often it occurs; empty for one answer.
    """
    if _LETTERS.fullmatch(answer) and _JOINING.isdisjoint(_single_words(answer.lower())):
        return _NONE
    return signs(answer, _WORDS) - signs(reference, _WORDS) + _list(answer, reference)


@bounded_cache
def signs(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """Count each match of a pattern in the normalised text; line breaks are kept."""
    lines = [normalize_answer(line) for line in text.strip().splitlines()]
    found = pattern.findall("\n".join(line for line in lines if line))
    return Counter(sign.strip(" ") for sign in found)  # "mg / dL" and "mg/dL" have the same sign


def _list(answer: str, reference: str) -> Counter[str]:
    """Count three kinds of lists: numbered or lettered marks, single words, and the reference beside rivals.

    A list of single words counts when at least two of them are not in the reference. "large, round, well-defined mass"
    is no such list, because its last part has two words: it describes one thing.
    """
    numbered = _numbers(answer) - _numbers(reference)
    words = [normalize_answer(part) for part in answer.split(",")]
    known = set(normalize_answer(reference).split())
    bare = len(words) > 2 and all(word and " " not in word for word in words)
    unknown = sum(word not in known for word in words) if bare else 0
    found = {"a numbered list": numbered if numbered > 1 else 0, "a list of words": unknown if unknown > 1 else 0}
    if not any(found.values()):
        found["the reference among others"] = _rivals(answer, reference)
    return Counter({name: count for name, count in found.items() if count})


def _numbers(text: str) -> int:
    """Count the marks of a numbered or lettered list.

    Letters with a full stop count only when they are consecutive (b., c.): "S. pneumoniae and H. influenzae" has two
    initials and no list.
    """
    marks = _NUMBERED.findall(text)
    letters = [ord(mark.lower()) for mark in marks if mark]
    runs = [later - earlier == 1 for earlier, later in itertools.pairwise(letters)]
    in_runs = sum(before or after for before, after in zip([False, *runs], [*runs, False], strict=True))
    return len(marks) - len(letters) + in_runs


def _rivals(answer: str, reference: str) -> int:
    """Count the parts of an answer that rival the reference ("chest, abdomen", "left lung and right lung").

    A rival shares no word with the reference, or is the reference with another word of the same kind in it. Three
    things behind a comma or full stop are details and no rivals: what is longer than the reference ("chest, frontal
    view"), what only qualifies it ("effusion, bilateral"), and one restatement ("liver, i.e. hepatic tissue"). From
    the third part on that shares no word with the reference, all such parts are rivals.
    """
    wanted = _ARTICLE.sub("", normalize_answer(reference), count=1)
    if wanted in _VERDICTS or _JOINT.search(wanted):
        return 0
    parts, joints, restated = _parts(normalize_answer(answer))
    if wanted not in parts:
        return 0
    known = set(wanted.split())
    unrelated = {place for place, part in enumerate(parts) if part and not known & set(part.split())}
    if restated and parts[restated - 1] == wanted:
        unrelated.discard(restated)
    swapped = {place for place, part in enumerate(parts) if _is_swapped(part, wanted)}
    if len(unrelated) > 2:
        return len(unrelated | swapped)
    joined = {
        place + side
        for place, joint in enumerate(joints)
        if joint not in _PAUSES
        for side in (0, 1)
        if parts[place + 1 - side] == wanted
    }
    short = {place for place in unrelated if len(parts[place].split()) <= len(known)}
    return len(swapped | (unrelated & joined) | (short - _details(parts, wanted)))


def _parts(text: str) -> tuple[list[str], list[str], int]:
    """Split a text into its parts and the joints between them, and find its first restatement.

    Returns:
        The parts, the joints, and the index of the part that restates the one before it (0: none does).
    """
    announced = _RESTATED.search(text)
    restated = 0
    if announced:
        before = text[: announced.start()]
        restated = len(_JOINT.split(before)[::2])
        text = f"{before}, {text[announced.end() :]}"
    pieces = _JOINT.split(text)
    return [_ARTICLE.sub("", part, count=1) for part in pieces[::2]], pieces[1::2], restated


def _details(parts: Sequence[str], wanted: str) -> set[int]:
    """Indices of the parts behind the reference that only qualify it.

    Each kind may be named once, in the reference or behind it: "left, right" for "left lung" is no detail.
    """
    found: set[int] = set()
    named = _kinds(wanted)
    for place in range(parts.index(wanted) + 1, len(parts)):
        kinds = _kinds(parts[place])
        if kinds and not kinds & named and all(word in _KINDS for word in _single_words(parts[place])):
            found.add(place)
            named |= kinds
    return found


def _is_swapped(part: str, wanted: str) -> bool:
    """Whether a part differs from the reference only in words of the same kinds: "right lung" for "left lung"."""
    given, known = part.split(), wanted.split()
    if part == wanted or len(given) != len(known):
        return False
    return all(one == other or _kinds(one) & _kinds(other) for one, other in zip(given, known, strict=True))


def _kinds(text: str) -> frozenset[str]:
    return frozenset().union(*(_KINDS.get(word, frozenset()) for word in _single_words(text)))


def _single_words(text: str) -> list[str]:
    return text.replace("-", " ").split()
