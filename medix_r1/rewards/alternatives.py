"""Finds answers that offer several things at once, so that one of them may be right. English only."""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.grammar import normalize_answer
from medix_r1.remembered import remembered

_WORDS = re.compile(
    r"\b(?:and/or|or|either|versus|vs|alternatively|differential|yes and no|no and yes|any of|all of the above|"
    r"none of the above)\b|(?<=[a-z])/(?=[a-z])|[;\n]"
)
_NUMBERED = re.compile(r"(?:^|\s)\d{1,2}[.)]\s")  # 1. this 2. that


@remembered
def alternatives(answer: str, reference: str) -> Counter[str]:
    """Signs that an answer offers alternatives, less those that the reference has as well."""
    return signs(answer, _WORDS) - signs(reference, _WORDS) + _list(answer, reference)


@remembered
def signs(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """How often each match of a pattern stands in the normalised text; lines are kept apart."""
    lines = [normalize_answer(line) for line in text.strip().splitlines()]
    return Counter(pattern.findall("\n".join(line for line in lines if line)))


def _list(answer: str, reference: str) -> Counter[str]:
    """Numbered lists, and lists of bare words of which at least two are not in the reference.

    Words with others around them ("large, round, well-defined mass") describe one thing.
    """
    numbered = len(_NUMBERED.findall(answer)) - len(_NUMBERED.findall(reference))
    words = [normalize_answer(part) for part in answer.split(",")]
    known = set(normalize_answer(reference).split())
    bare = len(words) > 2 and all(word and " " not in word for word in words)
    strange = sum(word not in known for word in words) if bare else 0
    found = {"a numbered list": numbered - 1, "a list of words": strange}
    return Counter({name: count for name, count in found.items() if count > (0 if name == "a numbered list" else 1)})
