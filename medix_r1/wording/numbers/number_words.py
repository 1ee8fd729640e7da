"""Numbers in words as digits: "twenty-five", "two hundred and fifty", "1.5 million", "three quarters", "fifth"."""

from __future__ import annotations

import re

from medix_r1.wording.terms import LISTS

_SMALL = {word: value for value, word in enumerate(("zero", *LISTS["numbers"]))}
_TENS = {word: 10 * value for value, word in enumerate(LISTS["tens"], start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ORDINALS = {word: value for value, word in enumerate(LISTS["ordinals"], start=1)}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourths": 4, "fifths": 5}
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(list(_SMALL)[1:10])}))?|{'|'.join(reversed(_SMALL))})"
_WORDS = re.compile(rf"\b{_BELOW_100}(?:[ -](?:{'|'.join(_SCALES)})(?:(?: and)? {_BELOW_100})?){{0,6}}\b")
_SCALED = re.compile(r"(?<![\w.,])(\d{1,4}(?:\.\d{1,3})?) (thousand|million|billion)\b")
_EXPONENT = re.compile(r"(?<![\w.,])(\d(?:\.\d{1,3})?)e(\d{1,2})(?![^\W_])")
_FRACTION = re.compile(
    r"\b(?:(\d) |(a|an) )?(half|halves|third|thirds|quarter|quarters|fourths|fifths)\b"
    r"(?! (?:ventricle|degree|lobe|rib|toe|finger))"
)
_SIGN = re.compile(r"(?<!\d )(?<!\) )\b(?:minus|negative) (?=\d)")
_ORDINAL = re.compile(rf"(?<!\d )\b({'|'.join(_ORDINALS)})\b(?! (?:of|line|choice|opinion|thing))")
_LATE_ORDINAL = re.compile(rf"\b({'|'.join(_TENS)})[ -]({'|'.join(list(_ORDINALS)[:9])})\b")
_LETTERS = re.compile(r"[a-z]+")
_HINTS = frozenset(("minus", "negative", "e", *_SMALL, *_TENS, *_SCALES, *_ORDINALS, *_PARTS))
WEAK = "\ue001"  # before a number that a right answer may leave out: "one lesion", "the fifth rib"


def digits(text: str) -> str:
    """Write the numbers of a normalised text in digits; those that are often left out get `WEAK` in front."""
    if _HINTS.isdisjoint(_LETTERS.findall(text)):
        return text
    text = _LATE_ORDINAL.sub(lambda match: f"{WEAK}{_TENS[match[1]] + _ORDINALS[match[2]]}", text)
    text = _WORDS.sub(_cardinal, text)
    text = _SCALED.sub(lambda match: f"{float(match[1]) * _SCALES[match[2]]:.0f}", text)
    text = _EXPONENT.sub(lambda match: f"{float(match[1]) * 10 ** int(match[2]):.0f}", text)
    text = _FRACTION.sub(_fraction, text)
    text = _SIGN.sub("-", text)
    return _ORDINAL.sub(lambda match: f"{WEAK}{_ORDINALS[match[1]]}", text)


def _cardinal(match: re.Match[str]) -> str:
    whole = value = 0
    for word in re.split(r"[ -]", match[0]):
        if word == "hundred":
            value = max(value, 1) * 100
        elif word in _SCALES:
            whole, value = whole + max(value, 1) * _SCALES[word], 0
        elif word != "and":
            value += _SMALL.get(word, 0) + _TENS.get(word, 0)
    return f"{WEAK if match[0] in ('one', 'zero') else ''}{whole + value}"


def _fraction(match: re.Match[str]) -> str:
    if match[3] in ("half", "quarter", "third") and not (match[1] or match[2]):
        return match[0] if match[3] == "third" else f"{WEAK}1/{_PARTS[match[3]]}"
    return f"{match[1] or 1}/{_PARTS[match[3]]}"
