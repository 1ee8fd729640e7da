"""Monitor `grade`: 0 when answer and reference name different grades, levels or opposites of one kind, else 1.

Seen are grades, stages and types with their number or letter, codes such as L4 and T2, TNM stages, Greek letters, and
words of which one excludes the other, such as upper and lower.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.terms import LISTS

_VALUE = r"(?:\d{1,2}(?:\.\d)?[a-d]?|[a-e])(?![^\W_])"
_GRADED = re.compile(
    rf"\b({'|'.join(LISTS['graded'])})(?:s|es)?(?: (?:score|status|category|class|grade|type|stage))?\s?[:=-]?\s?"
    rf"({_VALUE}(?:(?:\s?[-/,]\s?|,? (?:and|or|to) ){_VALUE}){{0,4}})"
)
_ORDINALS = {word: str(value) for value, word in enumerate(LISTS["ordinals"], start=1)}
_RANKED = re.compile(
    rf"\b(?:({'|'.join(_ORDINALS)})|(\d{{1,2}})(?:st|nd|rd|th))[ -](degree|cranial nerve|stage|grade|type|class)\b"
)
_CHILD = re.compile(r"\bchild(?:[ -]pugh)?(?: (?:class|score|grade))? ([abc])(?=$|[,.;:()])")
_GLEASON = re.compile(r"\bgleason\D{0,20}(?:\d{1,2} ?[=(] ?)?(\d\+\d)")
_DISC = re.compile(r"\b([ctls])(\d{1,2})\s?[-/]\s?([ctls]?)(\d{1,2})(?![^\W_])")
_LAST = {"c": ("7", "t"), "t": ("12", "l"), "l": ("5", "s")}  # the last vertebra, and what follows it
_SAME_KIND = {"cn": "cranialnerve", "birad": "birads"}
_ONE_VALUE = re.compile(_VALUE)
_STAGES = re.compile(r"\b[pcy]?(t\d[a-d]?)\s?(n\d[a-c]?)\s?(m\d[a-c]?)?\b")
_CODE = re.compile(r"\b(?!(?:no|of|to|in|at|on|by)\d)([a-z]{1,2})(\d{1,2})(?:\s?[-/]\s?(\d{1,2}))?(?![^\W_])")
_WORD = re.compile(r"[^\W\d_]+")
_DENIED = re.compile(r"\b(?:not|no|non|without|rather than|instead of|as opposed to)[ -](?:the |an? )?[^\W_]+")
_OPPOSITES = {  # word → (kind, value)
    word: (kind, value)
    for kind, values in LISTS["opposites"].items()
    for value, words in values.items()
    for word in words
}
_NOTHING = Score(None, "no grade, level or opposite is named by both")


class GradeMonitor:
    """Compares values of the kinds that answer and reference both name. English only.

    Two texts contradict each other when they have no value of a kind in common: "grade 2 or 3" does not contradict
    "grade 3". Not applicable when no kind is named by both: an omission is no contradiction.
    """

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        return _compare(answer, sample.reference.answer) if answer else _NOTHING


@bounded_cache
def _compare(answer: str, reference: str) -> Score:
    wanted = values(reference)
    if not wanted:
        return _NOTHING
    given = values(answer)
    shared = sorted(wanted.keys() & given.keys())
    if not shared:
        return _NOTHING
    for kind in shared:
        if not wanted[kind] & given[kind]:
            return Score(0.0, f"{kind} {_spell(given[kind])}, the reference says {_spell(wanted[kind])}")
    return Score(1.0, f"agree on {', '.join(shared[:3])}")


@bounded_cache
def values(text: str) -> Mapping[str, frozenset[str]]:
    """Kind → the values that a text names: `grade` → {"2"}, `l` → {"4", "5"}, `height` → {"upper"}."""
    text = _DENIED.sub(" ", normalize_answer(text))
    found: dict[str, set[str]] = {}
    for match in _GRADED.finditer(text):
        kind = re.sub(r"[ -]", "", match[1])
        found.setdefault(_SAME_KIND.get(kind, kind), set()).update(_ONE_VALUE.findall(match[2]))
    for match in _RANKED.finditer(text):
        kind = match[3].replace(" ", "")
        found.setdefault(kind, set()).add(_ORDINALS.get(match[1], match[2]) or "")
    for match in _CHILD.finditer(text):
        found.setdefault("childpugh", set()).add(match[1])
    for match in _GLEASON.finditer(text):
        found.setdefault("gleason", set()).add(match[1])
    for disc in map(_disc, _DISC.finditer(text)):
        if disc:
            found.setdefault("disc", set()).add(disc)
    for stages in _STAGES.finditer(text):
        for part in stages.groups():
            if part:
                found.setdefault(f"stage {part[0]}", set()).add(part[1:])
    for code in _CODE.finditer(_STAGES.sub(" ", text)):
        found.setdefault(code[1], set()).update(number for number in code.groups()[1:] if number)
    for word in _WORD.findall(text):
        if word in _OPPOSITES:
            kind, value = _OPPOSITES[word]
            found.setdefault(kind, set()).add(value)
    return {kind: frozenset(named) for kind, named in found.items()}


def _disc(match: re.Match[str]) -> str:
    """The disc between two neighbouring vertebrae; nothing for a longer stretch."""
    upper, number, lower, behind = match.groups()
    if lower in ("", upper):
        return f"{upper}{number}" if int(behind) == int(number) + 1 else ""
    return f"{upper}{number}" if _LAST.get(upper) == (number, lower) and behind == "1" else ""


def _spell(named: frozenset[str]) -> str:
    return " and ".join(sorted(named))
