"""Compares one part of an answer with one of the reference: the same thing, another one of its kind, or neither."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence, Set
from enum import Enum

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.numbers.quantities import agree, quantities
from medix_r1.wording.parts import Joint, Part
from medix_r1.wording.terms import FILLERS, KINDS, LISTS, QUALIFYING, Term, is_alike, readings
from medix_r1.wording.units import PINT_NAMES


class Likeness(Enum):
    """What one phrase is to another."""

    SAME = "same"  # one names or includes the other
    RELATED = "related"  # the two go together, as a disease and its signs
    OTHER = "other"  # another thing of the same kind
    PROBABLY_OTHER = "probably other"  # unless it is a name that terms.txt does not have
    CONTEXT = "context"  # a thing of another kind, such as the organ of a finding
    UNKNOWN = "unknown"


_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[/:+=^x]\d+(?:\.\d+)?)*")
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_CODE = re.compile(r"([a-z]{1,4})?(\d+)([a-z])?")
_SPINE = ("c", "t", "l", "s")
_STAGES = re.compile(r"[a-z]?t\d[a-d]?n\d[a-c]?m\d[a-c]?")
_ORDINAL = re.compile(r"\d+th")
_ADJECTIVE = re.compile(
    r"\w{2,}(?:al|ic|ar|ous|ary|oid|ive|ed|ing|ible|able|ent|ly|wise|form|like|eal|ior|cyte|genic)$"
)
_TUMOR = re.compile(r"(?:cancer|carcinoma|tumor|neoplasm|malignancy|sarcoma|blastoma|adenoma)$")
_DISEASE = re.compile(
    r"\w{3,}(?:itis|oma|osis|emia|pathy|algia|iasis|plegia|ectasis|penia|cele|megaly|trophy|rrhea|rrhage)$"
)
_ROOT = 8  # letters: hyperlipidemia and hyperlipoproteinemia
_FINDINGS = frozenset(LISTS["findings"])
_ENDINGS = frozenset(LISTS["endings"])
# Readings that a phrase keeps when words stand in front: a tension pneumothorax is one, but "femoral neck" is no neck.
_HEADS = frozenset(("diagnosis", "symptom", "procedure", "modality", "device", "drug", "drug class"))
ANATOMY = frozenset(
    ("organ", "region", "bone", "brain part", "heart part", "vessel", "nerve", "soft part", "eye part", "tissue")
)
_FIRM = ANATOMY - {"tissue", "region"} | {"drug", "organism"}
_DISEASES = frozenset(("diagnosis",))
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
    if one[:4] != other[:4]:
        return False
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    return shared > 3 and one[shared:] in _ENDINGS and other[shared:] in _ENDINGS


def includes(part: Part, one: Part) -> bool:
    """Whether a part names one part of the reference, perhaps with details or in other words."""
    if not one.stems or one.denied != part.denied:
        return False
    if set(one.stems) <= set(part.stems) or "".join(part.plain) == "".join(one.plain) or _same_initials(part, one):
        return True
    found, wanted = readings(part.plain)[0], readings(one.plain)
    if not wanted[1] and _things(found) & _things(wanted[0]):
        return True
    return all(any(akin(word, given) for given in part.stems) for word in one.stems)


def _same_initials(part: Part, one: Part) -> bool:
    """Whether two phrases differ in words of one letter alone: "B. henselae" and "Bartonella henselae"."""
    if len(part.plain) != len(one.plain) or len(part.plain) < 2:
        return False
    pairs = list(zip(part.plain, one.plain, strict=True))
    return all(a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]) for a, b in pairs)


def compare(part: Part, one: Part) -> Likeness:
    """Compare two parts by the kinds of things that they name; values and plain inclusion are looked at before."""
    if part.denied != one.denied or not part.stems or not one.stems:
        return Likeness.UNKNOWN
    (mine, before), (theirs, before_theirs) = readings(_without_dose(part.plain)), readings(_without_dose(one.plain))
    mine, theirs = _usable(mine, before), _usable(theirs, before_theirs)
    if _things(mine) & _things(theirs):
        return _compare_modifiers(part, one)
    if {term.family for term in mine} & {term.family for term in theirs}:
        return Likeness.RELATED
    shared = {term.kind for term in mine} & {term.kind for term in theirs}
    if _is_finding(part) and not _is_finding(one) and all(kind.startswith("diagnosis") for kind in shared):
        return Likeness.CONTEXT  # thin-walled cysts of a disease
    if part.stems[-1] == one.stems[-1] and (before or before_theirs or not shared):
        return _compare_modifiers(part, one)
    if shared:
        unsure = (before or before_theirs) and _share_roots(part, one, shared)
        return Likeness.UNKNOWN if unsure else Likeness.OTHER
    if any(map(_is_of_disease, mine)) and any(map(_is_of_disease, theirs)):
        return Likeness.UNKNOWN if _share_roots(part, one, _DISEASES) else Likeness.PROBABLY_OTHER
    if part.stems[0] == one.stems[0] and len(part.stems) == len(one.stems) == 2:  # "CT chest, CT abdomen"
        first, second = (readings(phrase.plain[1:])[0] for phrase in (part, one))
        apart = not {term.family for term in first} & {term.family for term in second}
        if apart and {term.kind for term in first} & {term.kind for term in second} & ANATOMY:
            return Likeness.OTHER
    if mine and theirs:
        both = {term.kind for term in mine} <= ANATOMY and {term.kind for term in theirs} <= ANATOMY
        return Likeness.PROBABLY_OTHER if both and part.joint >= Joint.AND else Likeness.CONTEXT
    diseases = [
        any(map(_is_of_disease, terms)) or _is_disease(phrase) for terms, phrase in ((mine, part), (theirs, one))
    ]
    if all(diseases):
        return Likeness.UNKNOWN if _share_roots(part, one, _DISEASES) else Likeness.PROBABLY_OTHER
    alone = len(part.stems) < 3 and not is_adjective(part.stems[-1])
    return Likeness.PROBABLY_OTHER if alone and {term.kind for term in theirs} & _FIRM else Likeness.UNKNOWN


def _without_dose(plain: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a phrase without a quantity at its end: "furosemide 40 mg"; nothing for a quantity."""
    end = len(plain)
    while end and (_is_unit(plain[end - 1]) or _DIGITS.fullmatch(plain[end - 1])):
        end -= 1
    return plain[:end] if end < len(plain) and _is_unit(plain[-1]) else plain


def _is_finding(part: Part) -> bool:
    """Whether a phrase is a finding that many diseases show: "thin-walled cysts", and not "hydatid cyst"."""
    return part.plain[-1] in _FINDINGS and bool(readings(part.plain)[1])


def is_diagnosis(part: Part) -> bool:
    """Whether a phrase names a disease."""
    return any(map(_is_of_disease, readings(part.plain)[0])) or _is_disease(part)


def _is_of_disease(term: Term) -> bool:
    return term.kind.startswith("diagnosis")


def _is_disease(part: Part) -> bool:
    return bool(_DISEASE.fullmatch(part.plain[-1])) or (
        len(part.plain) > 1 and part.plain[-1] in ("syndrome", "disease", "disorder")
    )


def _things(terms: Sequence[Term]) -> set[int]:
    return {term.thing for term in terms}


def _usable(terms: tuple[Term, ...], before: tuple[str, ...]) -> tuple[Term, ...]:
    if all(word in QUALIFYING or word in FILLERS for word in before):
        return terms
    return tuple([term for term in terms if term.kind in _HEADS or _is_of_disease(term)])


def _compare_modifiers(part: Part, one: Part) -> Likeness:
    """Compare phrases with the same head: a pleural and a pericardial effusion are two things."""
    mine = [plain for plain, word in zip(part.plain, part.stems, strict=True) if word not in one.stems]
    theirs = [plain for plain, word in zip(one.plain, one.stems, strict=True) if word not in part.stems]
    if not mine or not theirs:
        return Likeness.SAME
    first = [term for word in mine for term in readings((word,))[0]]
    second = [term for word in theirs for term in readings((word,))[0]]
    if {term.family for term in first} & {term.family for term in second}:
        return Likeness.UNKNOWN
    short = len(mine) == len(theirs) == 1
    if short and {term.kind for term in first} & {term.kind for term in second}:
        return Likeness.OTHER
    if any(_is_detail(word) for word in mine) and any(_is_detail(word) for word in theirs):
        return Likeness.UNKNOWN
    eponyms = any(word.endswith("'s") for word in (*part.words, *one.words))
    proper = all(map(_is_of_disease, (*first, *second)))  # Crohn's, Whipple's
    if short and eponyms and proper and not any(is_adjective(word) for word in (*mine, *theirs)):
        return Likeness.OTHER
    return Likeness.PROBABLY_OTHER


def _is_detail(word: str) -> bool:
    return word in QUALIFYING or word in FILLERS


def _share_roots(part: Part, one: Part, kinds: Set[str]) -> bool:
    """Whether two phrases have a root in common, so that they may be two names of one thing."""
    if kinds <= _SYSTEMATIC:
        return False
    if _TUMOR.search(part.plain[-1]) and _TUMOR.search(one.plain[-1]):
        return bool(set(part.stems) & set(one.stems))
    long, other = [word for word in part.plain if len(word) > 5], [word for word in one.plain if len(word) > 5]
    return any(a[:7] in b or b[:7] in a for a in long for b in other if min(len(a), len(b)) > 6 and a != b)


def have_one_root(part: Part, one: Part) -> bool:
    """Whether two phrases have a long root in common, so that they may be two names of one thing."""
    return any(word[:_ROOT] == other[:_ROOT] for word in part.plain for other in one.plain if len(word) >= _ROOT)


def other_value(part: Part, one: Part) -> bool:
    """Whether a part is another value in the frame of the reference: grade 3 for grade 2, L5 for L4, right for left.

    Bare values count too, where each has its place in the reference: "grade 2, 3", "left, right lower lobe".
    """
    if part.denied != one.denied or not part.stems or len(part.stems) > len(one.stems):
        return False
    wanted = one.stems if len(part.stems) == len(one.stems) else _places(part.stems, one.stems)
    if not wanted:
        return False
    pairs = [(a, b) for a, b in zip(part.stems, wanted, strict=True) if a != b]
    if not pairs or any(
        not _classes(a) & _classes(b) or within(a, b) or is_alike(a, b) or _one_name(a, b) for a, b in pairs
    ):
        return False
    if any(_is_unit(a) or _is_unit(b) for a, b in pairs):
        given, other = quantities(part.text), quantities(one.text)
        if [one.dimension for one in given] != [one.dimension for one in other]:
            return False  # a duration beside an age, mmol/l beside mg/dl
    return not same_quantities(part, one)


def _places(given: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The words of the reference that bare values stand for: one of the same class for each, or nothing."""
    found: list[str] = []
    for word in given:
        classes = _classes(word)
        if (code := _CODE.fullmatch(word)) and code[1] and code[2] in wanted:  # brca2 of "brca1/2"
            return ()
        places = [word] if word in wanted else [other for other in wanted if classes & _classes(other)]
        if len(places) != 1:
            return ()
        found += places
    return tuple(found)


def _one_name(one: str, other: str) -> bool:
    return bool(_things(readings((one,))[0]) & _things(readings((other,))[0]))


@bounded_cache
def _classes(word: str) -> frozenset[str]:
    """The classes of values that a word belongs to: numbers, codes such as t1 and l4, letters, kinds of qualifiers."""
    if word in KINDS:
        return KINDS[word]
    if _is_unit(word):
        return frozenset(("unit",))
    if _NUMBER.fullmatch(word):
        return frozenset(("number",))
    if code := _CODE.fullmatch(word):
        kind = f"code {'of the spine' if code[1] in _SPINE else code[1]}" if code[1] else "number"
        return frozenset((kind,))
    if _ORDINAL.fullmatch(word):
        return frozenset(("ordinal",))
    if _STAGES.fullmatch(word):
        return frozenset(("stages",))
    return frozenset(("letter",)) if len(word) == 1 and word.isalpha() else frozenset()


def _is_unit(word: str) -> bool:
    return word.partition("/")[0] in PINT_NAMES


def within(one: str, other: str) -> bool:
    """Whether the numbers of one word are in the other: 7 and 3+4=7."""
    found, wanted = Counter(_DIGITS.findall(one)), Counter(_DIGITS.findall(other))
    return found.total() != wanted.total() and (found <= wanted or wanted <= found)


def same_quantities(part: Part, one: Part) -> bool:
    """Whether two parts give the same quantities, perhaps in other units."""
    if not _DIGITS.search(part.text) or not _DIGITS.search(one.text):
        return False
    given, wanted = quantities(part.text), quantities(one.text)
    return bool(given) and len(given) == len(wanted) and all(map(agree, given, wanted))


def abbreviates(short: Sequence[Part], long: Sequence[Part]) -> bool:
    """Whether a text is the initials of the other: "ett" of "endotracheal tube", "h&e" of "hematoxylin and eosin"."""
    if sum(len(part.text) for part in short) > 24:  # with "and" and signs between the letters
        return False
    letters = "".join("".join(part.plain) for part in short)
    if not 1 < len(letters) < 8 or not letters.isalpha():
        return False
    named = [word for part in long for word in re.split(r"[\s/&-]+", part.text) if word]
    small = ("of", "the", "and", "in", "with", "to", "a", "or", "versus", "vs")
    initials = ("".join(word[0] for word in named), "".join(word[0] for word in named if word not in small))
    return len(named) > 1 and letters in initials


def abbreviates_loosely(short: Part, long: Part) -> bool:
    """Whether a short word has letters of a phrase, in their order: "dm" of "dermatomyositis"."""
    if len(short.plain) != 1 or not 1 < len(short.plain[0]) < 6:
        return False
    letters = iter("".join(long.plain))
    return short.plain[0][0] == long.text[:1] and all(letter in letters for letter in short.plain[0])


def is_firm(part: Part) -> bool:
    """Whether a part is of a kind of which two are rarely named as one: an organ, a modality, a drug."""
    loose = ("symptom", "verdict", "procedure", "device", "diagnosis", "lesion", "process", "form of life")
    return any(not term.kind.startswith(loose) for term in readings(part.plain)[0])


def completed(part: Part, behind: Part) -> Part | None:
    """The part with the last word of the next one, where it may share that: "mitral and aortic stenosis"."""
    if len(part.words) != 1 or len(behind.words) < 2 or behind.joint not in (Joint.COMMA, Joint.AND, Joint.OR):
        return None
    return Part(
        part.text,
        (*part.words, behind.words[-1]),
        (*part.plain, behind.plain[-1]),
        (*part.stems, behind.stems[-1]),
        part.joint,
        part.denied,
    )
