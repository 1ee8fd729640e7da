"""Monitor `laterality`: 1 when answer and reference name the same side, 0 when they contradict each other."""

from __future__ import annotations

import re

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import normalize_answer

_SIDE = re.compile(r"\b(left|right|bilateral|bilaterally|both)\b")
_ONE_SIDED = re.compile(r"\bunilateral(?:ly)?\b")
# Capitals alone: "R hip", "Lt hip", a lobe, a quadrant, a ventricle.
_LETTER = re.compile(r"\b([LR])(?:t\.?|\.)?(?= [a-z]{3})|\b([LR])(?:UL|ML|LL|UQ|LQ|V|VH)\b")
_LETTERS = {"L": "left", "R": "right"}
_LATIN = re.compile(r"\bocul(?:us|o|i) (dext|sinist|utr|uter)")
_LATIN_SIDES = {"dext": "right", "sinist": "left", "utr": "both", "uter": "both"}
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
        reference, answer = sample.reference.answer, sample.completion.answer or ""
        wanted, given = sides(reference), sides(answer)
        if not wanted and not (given == _BOTH and _is_one_sided(reference)):
            return _NO_SIDE
        if wanted == _BOTH and not given and _is_one_sided(answer):
            return Score(0.0, f"one side, the reference says {_spell(wanted)}")
        if not wanted:
            return Score(0.0, f"{_spell(given)}, the reference says one side")
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
    found |= {_LATIN_SIDES[eye] for eye in _LATIN.findall(spelled)}
    if not text.isupper() or len(text) < 5:  # in a text of capitals no letter stands out
        kept = _DENIED.sub(" ", text)
        found |= {_LETTERS[match[1] or match[2]] for match in _LETTER.finditer(kept)}
    return _BOTH if found - _BOTH else frozenset(found)


def _is_one_sided(text: str) -> bool:
    return bool(_ONE_SIDED.search(normalize_answer(text)))


def _spell(named: frozenset[str]) -> str:
    return " and ".join(sorted(named))
