"""Monitor `laterality`: 1 when answer and reference name the same side, 0 when they contradict each other."""

from __future__ import annotations

import re

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import normalize_answer

_SIDE = re.compile(r"\b(left|right|bilateral|bilaterally|both)\b")
_EYE = re.compile(r"\bO\.?([DSU])\b")  # oculus dexter, sinister, uterque; capitals only: "os" is a bone
_EYES = {"D": "right", "S": "left", "U": "both"}
_DENIED = re.compile(r"(?:[,;(]\s?|\s)(?:and |but )?(?:not|no|rather than|instead of)\s[^.,;()]{0,200}")
_PICTURE = r"(?:images?|pictures?|films?|screen|figure|photo|radiograph|scan|x-ray|viewer|reader)"
_ON_PICTURE = re.compile(  # the patient's left is on the right of the image
    rf"\b(?:left|right)(?:[- ]hand)?(?: side)? (?:of|on|in) (?:the |this )?{_PICTURE}\b"
    rf"|\b{_PICTURE}(?:'s)?[ -](?:left|right)\b"
)
_BOTH = frozenset({"left", "right"})
_NO_SIDE = Score(None, "the reference names no side")


class LateralityMonitor:
    """Compares the sides that answer and reference name; `both` and `bilateral` mean left and right. English only.

    OD, OS and OU are eyes. A side behind "not" or "rather than" is not named. Not applicable when the reference or the
    answer names no side: an omission is no contradiction.
    """

    def score(self, sample: Sample) -> Score:
        wanted = sides(sample.reference.answer)
        if not wanted:
            return _NO_SIDE
        given = sides(sample.completion.answer or "")
        if not given:
            return Score(None, "the answer names no side")
        return Score(float(given == wanted), f"{_spell(given)}, the reference says {_spell(wanted)}")


@bounded_cache
def sides(text: str) -> frozenset[str]:
    """The sides that a text names: a subset of `{"left", "right"}`."""
    spelled = normalize_answer(text)
    if _SIDE.search(spelled) and _ON_PICTURE.search(spelled) and _SIDE.search(off := _ON_PICTURE.sub(" ", spelled)):
        spelled = off
    found = set(_SIDE.findall(_DENIED.sub(" ", spelled)))
    found |= {_EYES[eye] for eye in _EYE.findall(text)}
    return _BOTH if found - _BOTH else frozenset(found)


def _spell(named: frozenset[str]) -> str:
    return " and ".join(sorted(named))
