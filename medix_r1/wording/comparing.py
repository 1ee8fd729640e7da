"""Compares one part of an answer with one of the reference: the same thing, another one of its kind, or neither."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from enum import Enum

from medix_r1.bounded_cache import bounded_cache
from medix_r1.wording.parts import Joint, Part
from medix_r1.wording.quantities import agree, quantities
from medix_r1.wording.terms import FILLERS, KINDS, LISTS, QUALIFYING, Term, readings
from medix_r1.wording.units import PINT_NAMES


class Likeness(Enum):
    """What one phrase is to another."""

    SAME = "same"  # one names or includes the other, or the two go together
    OTHER = "other"  # another thing of the same kind
    CONTEXT = "context"  # a thing of another kind, such as the organ of a finding
    UNKNOWN = "unknown"


_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[/:+=^x]\d+(?:\.\d+)?)*")
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_CODE = re.compile(r"([a-z]{1,4})?(\d+)([a-z])?")
_STAGES = re.compile(r"[a-z]?t\d[a-d]?n\d[a-c]?m\d[a-c]?")
_ORDINAL = re.compile(r"\d+th")
_ADJECTIVE = re.compile(
    r"\w{2,}(?:al|ic|ar|ous|ary|oid|ive|ed|ing|ible|able|ent|ly|wise|form|like|eal|ior|cyte|genic)$"
)
_DISEASE = re.compile(
    r"\w{3,}(?:itis|oma|osis|emia|pathy|algia|iasis|plegia|ectasis|penia|cele|megaly|trophy|rrhea|rrhage)$"
)
_ENDINGS = frozenset(LISTS["endings"])
# Readings that a phrase keeps when words stand in front: a tension pneumothorax is one, but "femoral neck" is no neck.
_HEADS = frozenset(("diagnosis", "symptom", "procedure", "modality", "device", "drug", "drug class"))
_SYSTEMATIC = frozenset(
    ("drug", "organism", "modality", "sequence", "stain", "analyte")
)  # names without synonyms by roots


def is_adjective(word: str) -> bool:
    """Whether a word looks like an adjective or adverb, by its ending."""
    return bool(_ADJECTIVE.match(word))


def akin(one: str, other: str) -> bool:
    """Whether two words are forms of one word."""
    if one == other:
        return True
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    return shared > 3 and one[shared:] in _ENDINGS and other[shared:] in _ENDINGS


def includes(part: Part, one: Part) -> bool:
    """Whether a part names one part of the reference, perhaps with details or in other words."""
    if not one.stems or one.denied != part.denied:
        return False
    if set(one.stems) <= set(part.stems) or "".join(part.plain) == "".join(one.plain):
        return True
    found, wanted = readings(part.plain)[0], readings(one.plain)
    if not wanted[1] and _things(found) & _things(wanted[0]):
        return True
    return all(any(akin(word, given) for given in part.stems) for word in one.stems)


def compare(part: Part, one: Part) -> Likeness:
    """Compare two parts by the kinds of things that they name; values and plain inclusion are looked at before."""
    if part.denied != one.denied or not part.stems or not one.stems:
        return Likeness.UNKNOWN
    (mine, before), (theirs, before_theirs) = readings(part.plain), readings(one.plain)
    mine, theirs = _usable(mine, before), _usable(theirs, before_theirs)
    if _things(mine) & _things(theirs):
        return _compare_modifiers(part, one)
    if {term.family for term in mine} & {term.family for term in theirs}:
        return Likeness.SAME
    shared = {term.kind for term in mine} & {term.kind for term in theirs}
    if shared:
        return Likeness.UNKNOWN if _share_roots(part, one, shared) else Likeness.OTHER
    if part.stems[-1] == one.stems[-1]:
        return _compare_modifiers(part, one)
    if mine and theirs:
        return Likeness.CONTEXT
    listed, other = (mine, one) if mine else (theirs, part)
    if any(term.kind == "diagnosis" for term in listed) and _DISEASE.fullmatch(other.plain[-1]):
        return Likeness.UNKNOWN if _share_roots(part, one, {"diagnosis"}) else Likeness.OTHER
    return Likeness.UNKNOWN


def _things(terms: Sequence[Term]) -> set[int]:
    return {term.thing for term in terms}


def _usable(terms: tuple[Term, ...], before: tuple[str, ...]) -> tuple[Term, ...]:
    if all(word in QUALIFYING or word in FILLERS for word in before):
        return terms
    return tuple([term for term in terms if term.kind in _HEADS])


def _compare_modifiers(part: Part, one: Part) -> Likeness:
    """Compare phrases with the same head: a pleural and a pericardial effusion are two things."""
    mine = [plain for plain, word in zip(part.plain, part.stems, strict=True) if word not in one.stems]
    theirs = [plain for plain, word in zip(one.plain, one.stems, strict=True) if word not in part.stems]
    if len(mine) != 1 or len(theirs) != 1 or len(part.stems) != len(one.stems):
        return Likeness.SAME if not mine or not theirs else Likeness.UNKNOWN
    first, second = readings((mine[0],))[0], readings((theirs[0],))[0]
    if {term.kind for term in first} & {term.kind for term in second}:
        return Likeness.SAME if {term.family for term in first} & {term.family for term in second} else Likeness.OTHER
    proper = all(term.kind == "diagnosis" for term in (*first, *second))  # Crohn's, Whipple's
    if proper and not any(is_adjective(word) or word in QUALIFYING or word in FILLERS for word in (*mine, *theirs)):
        return Likeness.OTHER
    return Likeness.UNKNOWN


def _share_roots(part: Part, one: Part, kinds: set[str]) -> bool:
    """Whether two phrases have a root in common, so that they may be two names of one thing."""
    if kinds <= _SYSTEMATIC:
        return False
    return any(a[:5] == b[:5] and min(len(a), len(b)) > 4 for a in part.stems[:-1] for b in one.stems[:-1]) and (
        part.stems[-1] == one.stems[-1]
    )


def other_value(part: Part, one: Part) -> bool:
    """Whether a part is another value in the frame of the reference: grade 3 for grade 2, L5 for L4, right for left.

    A bare value counts too, where the reference has as many: "40 mg, 80", "grade 2, 3".
    """
    given, wanted = part.stems, one.stems
    if part.denied != one.denied or not given or len(given) > len(wanted):
        return False
    if len(given) < len(wanted):
        if not all(map(_classes, given)):
            return False
        wanted = tuple([word for word in wanted if _classes(word)])
    if len(given) != len(wanted):
        return False
    pairs = [(a, b) for a, b in zip(given, wanted, strict=True) if a != b]
    if not pairs or (len(given) < len(one.stems) and any({a, b} & PINT_NAMES.keys() for a, b in pairs)):
        return False
    return all(_classes(a) & _classes(b) and not _within(a, b) for a, b in pairs) and not same_quantities(part, one)


@bounded_cache
def _classes(word: str) -> frozenset[str]:
    """The classes of values that a word belongs to: numbers, codes such as t1 and l4, letters, kinds of qualifiers."""
    if word in KINDS:
        return KINDS[word]
    if word in PINT_NAMES or word.partition("/")[0] in PINT_NAMES:
        return frozenset(("unit",))
    if _NUMBER.fullmatch(word):
        return frozenset(("number",))
    if code := _CODE.fullmatch(word):
        return frozenset((f"code {code[1]}",)) if code[1] else frozenset(("number",))
    if _ORDINAL.fullmatch(word):
        return frozenset(("ordinal",))
    if _STAGES.fullmatch(word):
        return frozenset(("stages",))
    return frozenset(("letter",)) if len(word) == 1 and word.isalpha() else frozenset()


def _within(one: str, other: str) -> bool:
    """Whether the numbers of one word are in the other: 7 and 3+4=7."""
    found, wanted = Counter(_DIGITS.findall(one)), Counter(_DIGITS.findall(other))
    return found.total() != wanted.total() and (found <= wanted or wanted <= found)


def same_quantities(part: Part, one: Part) -> bool:
    """Whether two parts give the same quantities, perhaps in other units."""
    if not any(map(str.isdigit, part.text)):
        return False
    given, wanted = quantities(part.text), quantities(one.text)
    return bool(given) and len(given) == len(wanted) and all(map(agree, given, wanted))


def abbreviates(short: Sequence[Part], long: Sequence[Part]) -> bool:
    """Whether a text is the initials of the other: "ett" of "endotracheal tube", "h&e" of "hematoxylin and eosin"."""
    letters = "".join("".join(part.plain) for part in short)
    if not 1 < len(letters) < 8 or not letters.isalpha():
        return False
    named = [word for part in long for word in re.split(r"[\s/&-]+", part.text) if word]
    small = ("of", "the", "and", "in", "with", "to", "a", "or", "versus", "vs")
    initials = ("".join(word[0] for word in named), "".join(word[0] for word in named if word not in small))
    return len(named) > 1 and letters in initials


def is_firm(part: Part) -> bool:
    """Whether a part is of a kind of which two are rarely named as one: an organ, a modality, a drug."""
    loose = ("diagnosis", "symptom", "verdict", "procedure", "device")
    return any(term.kind not in loose for term in readings(part.plain)[0])


def completed(part: Part, behind: Part) -> Part | None:
    """The part with the last word of the next one, where it may share that: "mitral and aortic stenosis"."""
    if len(part.words) != 1 or len(behind.words) < 2 or behind.joint not in (Joint.AND, Joint.OR):
        return None
    return Part(
        part.text,
        (*part.words, behind.words[-1]),
        (*part.plain, behind.plain[-1]),
        (*part.stems, behind.stems[-1]),
        part.joint,
        part.denied,
    )
