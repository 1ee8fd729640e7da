"""Two values of one scale side by side where the reference has one: "left-right", "mild to severe", "stage III/IV".

What stands between them may be a sign, "to", "or" or nothing: no right answer names a value together with its opposite.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.numbers.number_words import WEAK, digits
from medix_r1.wording.short_answers import several_letters, two_verdicts
from medix_r1.wording.spelling import ROMAN, normalize_answer
from medix_r1.wording.terms import LISTS, plain_stem
from medix_r1.wording.units import PINT_NAMES

_LABEL = re.compile(r"^(?:the )?(?:final |correct |best )?(?:answer|option|choice)s?(?: is| are)?[:\s]\s?(?=\S)")
_SIDED = re.compile(r"\b(left|right)[ -]?sided\b")
_TOKEN = re.compile(r"\d+(?:\.\d+)?(?![^\W_])|[^\W_]+")
_CODE = re.compile(r"([a-z]{1,5})?(\d{1,2})([a-d])?")
_ROMAN_CODE = re.compile(r"([ivx]{1,4})([a-d])")
_SUFFIXES = {"": 0.0, "a": 0.01, "b": 0.02, "c": 0.03, "d": 0.04}  # 3b is 3.02
_NUMBERS = re.compile(
    r"(?<![^\W_])([a-z]{1,5})?(\d+(?:\.\d+)?)([a-d])?((?:[/-]\d+)*)(?![^\W_])"
)  # "t2/3" has t2 and t3
_DIGITS = re.compile(r"\d+")
_ORDINAL_ENDING = re.compile(r"(?<=\d)(?:st|nd|rd|th)(?![^\W_])")
_JOINERS = frozenset(
    (
        "to",
        "or",
        "and",
        "through",
        "thru",
        "versus",
        "vs",
        "plus",
        "then",
        "else",
        "the",
        "maybe",
        "perhaps",
        "possibly",
    )
)
_STRONG = re.compile(
    r"\.\.+|-(?:to|or|and)-|-|[/=~|+*_<>:]|\s?(?:[-=~|]+>|[/~|]|\([\s]?or\b|,?\s?\b(?:to|or|through|thru|versus|vs|and/or|maybe|perhaps|possibly)\b).{0,12}"
)
_RANGE = re.compile(r"-|\s-\s|\s?\.\.+\s?|\s(?:to|through|thru)\s(?:the\s)?")
_WEAK = re.compile(r"\s?[-,;(\[{&+:\n]?\s?(?:(?:and|plus|then|else)\s)?(?:the\s)?")
_SLASH = re.compile(r"\s?/\s?")
_DENIALS = frozenset(("no", "not", "without", "neither", "nor", "denies", "absence", "lack", "free", "never", "rather"))
_LEADS = frozenset(
    ("is", "are", "be", "answer", "about", "approximately", "between", "from", "either", "of", "at", "least")
)
_OUT_OF = frozenset(("of", "out"))
_SCALES = frozenset((3.0, 4.0, 5.0, 6.0, 10.0))  # "grade 2/6" may be grade 2 of 6
_GRADED = frozenset(plain_stem(word) for name in LISTS["graded"] for word in re.findall(r"[a-z]+", name))
_UNITS = frozenset(PINT_NAMES) - {"mmhg", "kpa"}  # 120/80 mmhg is one blood pressure
_NO_FRACTION = 5
_HEADS_OF_SCALES = frozenset(("grade", "grades", "score", "murmur", "gcs", "apgar", "strength", "power"))
_SCALE_WORDS = re.compile(r"\b(?:murmur|reflex|strength|power|pulse)")
_UNIT = "|".join(sorted(map(re.escape, PINT_NAMES), key=len, reverse=True))
_MEASURED_TWICE = re.compile(rf"(\d) ({_UNIT})(?=\s?(?:-|to|or|through)\s?\d{{1,6}}(?:\.\d{{1,4}})? ?\2(?![^\W_]))")
_RUN = re.compile(r"(?<![\w.,/-])\d{1,3}(?:\.\d{1,2})?(?:(?: |/)\d{1,3}(?:\.\d{1,2})?){2,20}(?![\w.,/-])")
_RUN_OF_CODES = re.compile(r"(?<![\w.,/-])([a-z]{1,2})\d{1,2}(?: \1\d{1,2}){2,12}(?![\w.,/-])")
_FRAMED = re.compile(
    rf"\b({'|'.join(sorted(LISTS['graded'], key=len, reverse=True))})s?"
    r"(?: (?:score|status|category|class|grade|type|stage))?[ -]?(\d{1,2}[a-f]?|[a-e])(?![^\W_]|[.+/]\d)"
)
_EARLIER = re.compile(
    r"\b(?:no|not|without|neither|nor|rather|than|instead|previously|formerly|former|was|were|prior|now|initially|from|to|"
    r"excluded|excludes|former|over|under|unlike|versus the|against|of)\b"
)
_THOUSANDS = re.compile(r"\d{1,3}(?: \d{3})+")
_SWAPS = (
    *(("hyper", "hypo"), ("tachy", "brady"), ("macro", "micro"), ("pre", "post"), ("intra", "extra"), ("endo", "exo")),
    *(("supra", "infra"), ("hetero", "homo"), ("poly", "oligo"), ("over", "under"), ("ante", "retro"), ("ab", "ad")),
)
_MOST_WORDS = 40  # that are looked at
_SIDE_OF = {"l": "left", "r": "right"}
_FIRST_LETTERS = "abcdef"
_ENDING = 5  # letters that opposites share
_NEGATING = ("non", "un", "in", "im", "ir", "ab", "a")


def _by_word(*scales: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, dict[str, str]]:
    """Word → kind → value."""
    found: dict[str, dict[str, str]] = {}
    for scale in scales:
        for kind, values in scale.items():
            for value, words in values.items():
                for word in words:
                    found.setdefault(word, {})[kind] = value
    return found


_VALUES = _by_word(LISTS["opposites"], LISTS["contrasts"])


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a reference says.

    Attributes:
        text: normalised.
        words: its words.
        values: kind → its values, of words that have an opposite.
        numbers: letters before them → its numbers; "" for bare ones.
    """

    text: str
    words: frozenset[str]
    values: Mapping[str, frozenset[str]]
    numbers: Mapping[str, frozenset[float]]


@bounded_cache
def _read(reference: str) -> _Wanted:
    text = _in_digits(normalize_answer(reference))
    words = [match[0] for match in _TOKEN.finditer(text)]
    values: dict[str, set[str]] = {}
    numbers: dict[str, set[float]] = {}
    for word in words:
        for kind, value in _VALUES.get(word, {}).items():
            values.setdefault(kind, set()).add(value)
    for match in _NUMBERS.finditer(text):
        found = [float(match[2]) + _SUFFIXES[match[3] or ""], *map(float, _DIGITS.findall(match[4]))]
        numbers.setdefault(match[1] or "", set()).update(found)
    return _Wanted(
        text,
        frozenset(map(plain_stem, words)),
        {kind: frozenset(named) for kind, named in values.items()},
        {letters: frozenset(named) for letters, named in numbers.items()},
    )


def _in_digits(text: str) -> str:
    return _ORDINAL_ENDING.sub("", digits(text)).replace(WEAK, "")


def _are_opposed(one: str, other: str) -> bool:
    """Whether two words differ in a prefix that negates or turns round: hyper and hypo, stable and unstable."""
    short, long = sorted((one, other), key=len)
    if len(short) > _ENDING and any(long == prefix + short for prefix in _NEGATING):
        return True
    return any(
        first.startswith(a) and second.startswith(b) and first.removeprefix(a) == second.removeprefix(b)
        for first, second in ((one, other), (other, one))
        for a, b in _SWAPS
    )


def _sided(one: str, other: str, wanted: _Wanted) -> bool:
    """Whether two abbreviations differ in their side alone, and the reference has one side: RUQ and LUQ."""
    if not 2 <= len(one) <= 4 or one[1:] != other[1:] or {one[0], other[0]} != {"l", "r"}:
        return False
    sides = wanted.words & {"left", "right"}
    return len(sides) == 1 or (one in wanted.words) != (other in wanted.words)


def _may_exclude(one: str, other: str, wanted: _Wanted) -> bool:
    """Whether two words may be values of one scale, as far as a quick look tells."""
    if (
        (one in _VALUES and other in _VALUES)
        or (one[1:] == other[1:] and one != other)
        or one[-_ENDING:] == other[-_ENDING:]
    ):
        return True
    if len(one) == len(other) == 1:
        return True
    return bool(wanted.numbers) and _looks_numeric(one) and _looks_numeric(other)


def _looks_numeric(word: str) -> bool:
    return word[-1].isdigit() or word[0].isdigit() or word in ROMAN or bool(_ROMAN_CODE.fullmatch(word))


def _number(word: str) -> tuple[str, float] | None:
    """The letters before a number and the number: ("", 3) for 3, ("t", 2) for t2; none for other words."""
    if roman := _ROMAN_CODE.fullmatch(word):
        word = ROMAN.get(roman[1], "x") + roman[2]
    if word[0].isdigit() and word.replace(".", "", 1).isdecimal():
        return "", float(word)
    code = _CODE.fullmatch(word)
    return (code[1] or "", float(code[2]) + _SUFFIXES[code[3] or ""]) if code else None


def contrasts(answer: str, reference: str) -> tuple[str, ...]:
    """The values that an answer puts beside that of the reference; empty where there is none."""
    wanted = _read(reference)
    text = _LABEL.sub("", normalize_answer(answer))
    if "sided" in text:
        text = _SIDED.sub(r"\1", text)
    if wanted.numbers:
        text = _in_digits(text)
    if text == wanted.text:
        return ()
    if len(wanted.text) < 9 and (found := several_letters(answer, text, wanted.text)):
        return found
    if wanted.text.startswith(("yes", "no")) and (found := two_verdicts(text, wanted.words)):
        return found
    if wanted.numbers:
        if run := _run_of_numbers(text, wanted):
            return run
        text = _MEASURED_TWICE.sub(r"\1", text)
        if values := _other_grades(text, wanted):
            return values
    if text.isalnum():
        return ()
    kept = [match for match in _TOKEN.finditer(text) if match[0] not in _JOINERS]
    if not 1 < len(kept) < _MOST_WORDS:
        return ()
    words = [match[0] for match in kept]
    for place, (one, other) in enumerate(itertools.pairwise(words)):
        if not _may_exclude(one, other, wanted):
            continue
        gap = text[kept[place].end() : kept[place + 1].start()]
        before = plain_stem(words[place - 1]) if place else ""
        behind = plain_stem(words[place + 2]) if place + 2 < len(words) else ""
        strong = bool(_STRONG.fullmatch(gap))
        if not strong and not (_WEAK.fullmatch(gap) and (not behind or behind in wanted.words)):
            continue
        if _DENIALS.isdisjoint(words) and (rivals := _opposed(one, other, wanted)):
            return rivals
        if wanted.numbers and (rivals := _other_numbers(one, other, gap, before, behind, wanted)):
            return rivals
        if strong and (rivals := _other_letters(one, other, wanted)):
            return rivals
    return ()


def _opposed(one: str, other: str, wanted: _Wanted) -> tuple[str, ...]:
    first, second = _VALUES.get(one, {}), _VALUES.get(other, {})
    for kind in first.keys() & second.keys() & wanted.values.keys():
        named = {first[kind]: one, second[kind]: other}
        if len(named) > 1 and not named.keys() <= wanted.values[kind]:
            return tuple(word for value, word in named.items() if value not in wanted.values[kind])
    if _sided(one, other, wanted):
        return tuple(
            word for word in (one, other) if _SIDE_OF[word[0]] not in wanted.words and word not in wanted.words
        )
    if one[-_ENDING:] == other[-_ENDING:] and _are_opposed(one, other):
        new = tuple(word for word in (one, other) if plain_stem(word) not in wanted.words)
        return new if len(new) == 1 else ()
    return ()


def _other_numbers(one: str, other: str, gap: str, before: str, behind: str, wanted: _Wanted) -> tuple[str, ...]:
    first, second = (_number(ROMAN.get(word, word)) for word in (one, other))
    if first is None or second is None:
        return ()
    if first[0] and not second[0] and "(" in gap and "or" not in gap:
        return ()  # "HER2 (3+)"
    if first[0] and not second[0]:
        second = (first[0], second[1])  # "T2/3"
    named = wanted.numbers.get(first[0], frozenset())
    if first[0] != second[0] or first[1] == second[1] or len(named) != 1 or not gap.strip():
        return ()
    if int(first[1]) == int(second[1]) and (first[1].is_integer() or second[1].is_integer()):
        return ()  # "stage 3 (3a)"
    value = next(iter(named))
    within = bool(_RANGE.fullmatch(gap)) and first[1] < value < second[1]
    if value not in (first[1], second[1]) and not within:
        return ()
    if not first[0]:
        in_frame = before in wanted.words or behind in wanted.words if len(wanted.words) > 1 else False
        alone = (not before or before in _LEADS) and (not behind or len(wanted.words) == 1)
        if behind in _OUT_OF or not (in_frame or alone) or (behind and behind not in wanted.words and not before):
            return ()
    if _SLASH.fullmatch(gap) and not _is_choice(first, second, before, behind, wanted):
        return ()
    return tuple(word for word, number in ((one, first), (other, second)) if number[1] != value)


def _other_letters(one: str, other: str, wanted: _Wanted) -> tuple[str, ...]:
    """The other letter of "type A or B" for type A."""
    if len(one) > 1 or len(other) > 1 or one == other or len(wanted.words) < 2:
        return ()
    letters = {word for word in wanted.words if len(word) == 1 and word in _FIRST_LETTERS}
    return tuple({one, other} - letters) if len(letters) == 1 and letters < {one, other} else ()


def _is_choice(first: tuple[str, float], second: tuple[str, float], before: str, behind: str, wanted: _Wanted) -> bool:
    """Whether a slash between numbers separates two values: "stage III/IV", and not "grade 2/6" or a fraction."""
    if first[0]:
        return first[0] != "g"
    if behind in _UNITS and behind in wanted.words and min(first[1], second[1]) >= _NO_FRACTION:
        return True  # "20/30 ml"
    if before not in _GRADED or _SCALE_WORDS.search(wanted.text):
        return False
    return before not in _HEADS_OF_SCALES or second[1] not in _SCALES or first[1] > second[1]


def _other_grades(text: str, wanted: _Wanted) -> tuple[str, ...]:
    """The other values of a frame that is named twice: "type 1 and type 2 diabetes" for type 2."""
    frames: dict[str, dict[str, None]] = {}
    for frame, value in _FRAMED.findall(text):
        frames.setdefault(frame, {})[value] = None
    for frame, values in frames.items():
        named = {value for name, value in _FRAMED.findall(wanted.text) if name == frame}
        if len(values) > 1 and len(named) == 1 and named < set(values) and not _EARLIER.search(text):
            return tuple(f"{frame} {value}" for value in values if value not in named | wanted.words)
    return ()


def _run_of_numbers(text: str, wanted: _Wanted) -> tuple[str, ...]:
    """The others of three numbers or codes that follow each other, one of which is the only one of the reference."""
    if codes := _RUN_OF_CODES.search(text):
        named = wanted.numbers.get(codes[1], frozenset())
        values = codes[0].split()
        others = tuple(value for value in values if float(value.removeprefix(codes[1])) not in named)
        return others if len(named) == 1 and 1 < len(others) < len(values) else ()
    run = _RUN.search(text)
    named = wanted.numbers.get("", frozenset())
    if not run or _THOUSANDS.fullmatch(run[0]) or len(named) != 1 or _RUN.search(wanted.text):
        return ()
    numbers = re.split(r"[ /]", run[0])
    others = tuple(number for number in numbers if float(number) not in named)
    return others if len(others) < len(numbers) else ()
