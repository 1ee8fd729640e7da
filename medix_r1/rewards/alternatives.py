"""Finds answers that offer several things at once, so that one of them may be right. English only."""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.grammar import normalize_answer
from medix_r1.remembered import remembered

_WORDS = re.compile(
    r"\b(?:and/or|or|either|versus|vs|alternatively|differential|yes and no|no and yes|any of|"
    r"all of the above|none of the above)\b|\b(?:yes(?:,| &) no|no(?:,| &) yes)\b(?! \w)|"
    r"(?<=[a-z])/(?=[a-z])|(?<=[a-z]) / (?=[a-z])|[;|\n]"
)
_NUMBERED = re.compile(r"(?:^|\s)(?:\d{1,2}[.)]|\((?:\d{1,2}|[a-z])\)|[a-z][.)])\s", re.IGNORECASE)  # 1. this (B) that
_JOINT = re.compile(r"\s?(,(?!\d)|\.(?=\s)|&|\+|\band\b(?!/)|\bplus\b)\s?")
_PAUSES = (",", ".")
_ARTICLE = re.compile(r"(?:the|an?) ")
_VERDICTS = ("yes", "no")


@remembered
def alternatives(answer: str, reference: str) -> Counter[str]:
    """Signs that an answer offers alternatives, less those that the reference has as well."""
    return signs(answer, _WORDS) - signs(reference, _WORDS) + _list(answer, reference)


@remembered
def signs(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """How often each match of a pattern stands in the normalised text; lines are kept apart."""
    lines = [normalize_answer(line) for line in text.strip().splitlines()]
    found = pattern.findall("\n".join(line for line in lines if line))
    return Counter(sign.strip(" ") for sign in found)  # mg / dL is mg/dL


def _list(answer: str, reference: str) -> Counter[str]:
    """Numbered and lettered lists, bare words of which two are not in the reference, and the reference among others.

    Words with others around them ("large, round, well-defined mass") describe one thing.
    """
    numbered = len(_NUMBERED.findall(answer)) - len(_NUMBERED.findall(reference))
    words = [normalize_answer(part) for part in answer.split(",")]
    known = set(normalize_answer(reference).split())
    bare = len(words) > 2 and all(word and " " not in word for word in words)
    strange = sum(word not in known for word in words) if bare else 0
    found = {"a numbered list": numbered if numbered > 1 else 0, "a list of words": strange if strange > 1 else 0}
    if not any(found.values()):
        found["the reference among others"] = _others(answer, reference)
    return Counter({name: count for name, count in found.items() if count})


def _others(answer: str, reference: str) -> int:
    """How many things stand beside the reference that share no word with it ("chest, abdomen").

    What is longer than the reference and set off by a pause is a detail ("chest, frontal view"), up to two of them;
    whatever follows yes or no is one.
    """
    wanted = _ARTICLE.sub("", normalize_answer(reference), count=1)
    if wanted in _VERDICTS or _JOINT.search(wanted):
        return 0
    pieces = _JOINT.split(normalize_answer(answer))
    parts, joints = [_ARTICLE.sub("", part, count=1) for part in pieces[::2]], pieces[1::2]
    if wanted not in parts:
        return 0
    known = set(wanted.split())
    strange = {place for place, part in enumerate(parts) if part and not known & set(part.split())}
    if len(strange) > 2:
        return len(strange)
    joined = {
        place + side
        for place, joint in enumerate(joints)
        if joint not in _PAUSES
        for side in (0, 1)
        if parts[place + 1 - side] == wanted
    }
    return sum(place in joined or len(parts[place].split()) <= len(known) for place in strange)
