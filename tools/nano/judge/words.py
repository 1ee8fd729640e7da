"""Made-up words, misspellings, measures and garbage for the judge's pairs (pairs.py).

The model sees each made-up word once, so it has to learn comparison instead of memorising words.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

_ONSETS = (
    "", "b", "br", "c", "ch", "cr", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "l", "m", "n", "p",
    "ph", "pl", "pr", "qu", "r", "s", "sc", "sp", "st", "t", "th", "tr", "v", "w", "x", "y", "z", "my", "hy",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ia", "io", "ea", "eu", "ou", "ae", "oi", "au", "y")
_CODAS = ("", "", "", "l", "n", "r", "s", "t", "m", "x", "rn", "nt", "st", "ct", "ps", "rm", "lm", "ng", "ck", "sh")
_STARTS = (
    "hyper", "hypo", "intra", "peri", "sub", "endo", "hemi", "osteo", "neuro", "cardio", "gastro", "hepato",
    "angio", "myo", "dys", "poly", "para", "epi", "trans", "retro", "supra", "infra", "pan", "pre", "lympho",
)  # fmt: skip
_ENDS = (
    "itis", "osis", "oma", "emia", "pathy", "ectomy", "ography", "scopy", "plasia", "algia", "us", "um", "al",
    "ary", "ic", "ine", "ol", "in", "ate", "oid", "ium", "ula", "er", "ing", "ment", "tion", "age", "ive", "ed",
)  # fmt: skip
_UNITS = (
    ("mm", "millimeters", "millimeter"), ("cm", "centimeters", "centimeter"), ("ml", "milliliters"),
    ("degrees", "degree"), ("%", "percent"), ("mmhg", "mm hg"), ("mg", "milligrams"), ("weeks", "week"),
    ("years", "year"), ("bpm", "beats per minute"), ("",), ("lesions", "lesion"), ("slices", "slice"),
)  # fmt: skip
_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NOISE = ("<answer>", "<think>", "</think>", "...", "-", "?", "<X_RAY>", "null", "none given", "the the", "of", "ing")


def invented_word(rng: random.Random) -> str:
    """A pronounceable made-up word, or (one in five) random letters."""
    if rng.random() < 0.2:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 8)))
    syllables = "".join(_syllable(rng) for _ in range(rng.choice((1, 2, 2, 3))))
    start = rng.choice(_STARTS) if rng.random() < 0.25 else ""
    end = rng.choice(_ENDS) if rng.random() < 0.35 else ""
    return start + syllables + end


def _syllable(rng: random.Random) -> str:
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)


def misspelled(text: str, rng: random.Random) -> str:
    """Change one word into a similar one: a letter, the beginning or the ending differs."""
    words = text.split()
    place = rng.randrange(len(words))
    word, way = words[place], rng.random()
    at = rng.randrange(len(word))
    if way < 0.3:
        changed = word[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :]
    elif way < 0.45:
        changed = word[:at] + word[at + 1 :]
    elif way < 0.6:
        changed = rng.choice(_STARTS) + word
    elif way < 0.8 and len(word) > 4:
        changed = word[: rng.randint(2, len(word) - 2)] + rng.choice(_ENDS)
    elif way < 0.9 and len(word) > 4:
        changed = word[: rng.randint(2, len(word) - 2)]
    else:
        changed = invented_word(rng)
    # A lost or added final "s" is a plural, not a misspelling; an empty word is not one either.
    words[place] = changed if changed and changed.rstrip("s") != word.rstrip("s") else invented_word(rng)
    return " ".join(words)


def garbled(text: str, other: str, rng: random.Random) -> str:
    """Text as a collapsing policy writes it: spliced halves, repetition, shuffled words, stray tags, letters."""
    way, cut = rng.random(), rng.randint(1, max(1, len(text) - 2))
    if way < 0.3:
        return text[:cut] + other[rng.randrange(len(other)) :]
    if way < 0.5:
        return " ".join([text] * rng.randint(2, 3))
    if way < 0.6:
        return f"{text} {rng.choice(_NOISE)} {other}"
    if way < 0.7:
        return rng.choice(_NOISE)
    if way < 0.85:
        words = f"{text} {other}".split()
        return " ".join(rng.sample(words, len(words)))
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(rng.randint(2, 18)))


@dataclass(frozen=True, slots=True)
class Measure:
    """One to three numbers and a unit; small whole numbers without a unit may be written as words."""

    numbers: tuple[str, ...]
    unit: tuple[str, ...]
    sign: str = ""

    def text(self, rng: random.Random, *, loose: bool) -> str:
        unit = rng.choice(self.unit) if loose else self.unit[0]
        space = "" if loose and len(unit) < 3 and rng.random() < 0.5 else " "
        number = (" x " if rng.random() < 0.7 or not loose else "x").join(self.numbers)
        if loose and number in map(str, range(11)) and not self.sign and rng.random() < 0.3:
            number, space = _COUNTS[int(number)], " "
        about = rng.choice(("", "", "", "about ")) if loose and not self.sign else ""
        return f"{about}{self.sign}{number}{space}{unit}".strip()


def measure(rng: random.Random) -> Measure:
    """Draw a measure."""
    numbers = tuple(_number(rng) for _ in range(rng.choice((1, 1, 1, 1, 2))))
    return Measure(numbers, rng.choice(_UNITS), rng.choices(("", "-", ">", "<"), [12, 1, 1, 1])[0])


def _number(rng: random.Random) -> str:
    way = rng.random()
    if way < 0.3:
        return str(rng.randint(0, 10))
    if way < 0.75:
        return str(rng.randint(11, 999))
    return f"{rng.randint(0, 99)}.{rng.randint(1, 9)}"


def rescaled(old: Measure, rng: random.Random) -> Measure:
    """Another measure, which mostly differs in one digit, the unit or the order of digits."""
    way = rng.random()
    if way < 0.2:
        return replace(old, unit=rng.choice([unit for unit in _UNITS if unit != old.unit]))
    if way < 0.3:
        return replace(old, sign=rng.choice([sign for sign in ("", "-", ">") if sign != old.sign]))
    while True:
        numbers = list(old.numbers)
        place = rng.randrange(len(numbers))
        numbers[place] = _other_number(numbers[place], rng)
        if tuple(numbers) != old.numbers:
            return replace(old, numbers=tuple(numbers))


def _other_number(number: str, rng: random.Random) -> str:
    way, digits = rng.random(), list(number)
    at = rng.choice([i for i, digit in enumerate(digits) if digit.isdigit()])
    if way < 0.45:
        digits[at] = rng.choice("123456789")
    elif way < 0.6 and "." not in number:
        digits.append("0")
    elif way < 0.75 and "." not in number:
        digits.reverse()
    else:
        return _number(rng)
    return "".join(digits) if digits[0] != "0" or len(digits) == 1 else _number(rng)
