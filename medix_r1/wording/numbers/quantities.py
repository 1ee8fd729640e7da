"""The numbers of an answer with their units, as quantities that can be compared: 28 mm is 2.8 cm and not 28 cm.

pint converts the units. Its parser evaluates expressions, so it never gets text of a reply, only the names in units.py.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.numbers.number_words import WEAK, digits
from medix_r1.wording.spelling import ROMAN, normalize_answer
from medix_r1.wording.terms import LISTS
from medix_r1.wording.units import PINT_NAMES

if TYPE_CHECKING:
    import pint

_NUMBER = (
    r"(?<![\w.,])(?<![a-z]\d-)(?<![a-z]\d\d-)(?:(?<![\d)])-)?"  # the dash of "5-10 mm" is no minus sign
    r"(?:\d{1,12}(?:[.,]\d{1,12})?|\.\d{1,12})(?![\d,.]{0,24}\d)"
)
_NAMES = "|".join(sorted((re.escape(name) for name in PINT_NAMES), key=len, reverse=True))
_UNIT = rf"(?:{_NAMES})[23]?(?:/(?:{_NAMES})[23]?){{0,2}}(?![^\W_])"
_QUANTITY = re.compile(
    rf"(?P<date>(?<![\w.,-])\d{{4}}-\d\d-\d\d(?![\w-]))|"
    rf"(?P<weak>{WEAK}?)(?P<number>{_NUMBER})(?:\^(?P<power>-?\d{{1,2}}))?(?: ?(?P<unit>{_UNIT}))?"
)
_SERIES = re.compile(r"\s{0,4}(?:x|\*|/|:|by|to|and|or|-|,)\s{0,4}")  # in "28 x 27 mm" both numbers have the unit
_RATIO = re.compile(r"(?<!\d)(\d{1,6})[:/+](\d{1,6})(?!\d)")
_TIMES = re.compile(r"(?<=\d)x(?=\d)")
_NAME = re.compile(r"(?<![\d.])(?<!\d )\b([a-z]{2,6})-(?=\d{1,3}(?![\w.-]))")  # "ki-67" is ki67
_CODE = re.compile(r"(?<![^\W_])[a-z]{1,8}(\d{1,3})(?![^\W_])")
_COPIES = re.compile(r"(?<![^\s(])x(?=\d{1,2}(?![^\W_]))")  # "x2"
_GRADED = tuple(LISTS["graded"])
_SUM = re.compile(r"(?<![\w.+])\d{1,2}(?:\+\d{1,2}){1,3}(?:=(\d{1,3}))?(?![\w.+])")
_GROUPS = re.compile(r"(?<![\w.,] )(?<![\w.,])\d{1,3}(?: \d{3}){1,3}(?![\w.,])(?! \d)")
_SHARE = re.compile(r"(?<![\w./])(\d{1,3})/(\d{1,3})(?![\w./])")
_MIXED = re.compile(r"(?<![\w.,/])(\d{1,3}) (\d)/(\d)(?![\w./])")
_SCORED = re.compile(
    r"\b(?:gcs|glasgow|apgar|pain|score|scored|mmse|moca|strength|power|grade|murmur|scale|vas|nrs|mrc|reflex|pulse|curb)\b"
)
_MAXIMA = frozenset(("3", "4", "5", "6", "10", "15", "30", "100"))
_OPTION = re.compile(r"^\(?\d[.)] (?=[a-z])")
_TWICE = re.compile(r"(\d{1,2}) ?\(\1\)")  # "two (2)"
_DATE = "date"
_DAILY = "/day"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, as written and in base units; or a date.

    Attributes:
        text: as written, with the unit.
        number: the number as written; of a date, its digits.
        value: in base units.
        size: absolute value in base units without the offset of temperature scales; tolerances are relative to it.
        dimension: pint's dimensionality, or the unit of a dimensionless quantity; empty for a bare number.
        unit: as written, empty without one.
        weak: a right answer may leave it out: "one lesion", "the fifth rib", "type 2".
        extra: a right answer may add it: "one", "first".
    """

    text: str
    number: float
    value: float
    size: float
    dimension: str
    unit: str = ""
    weak: bool = False
    extra: bool = False


def agree(given: Quantity, wanted: Quantity, tolerance: float = 0.0) -> bool:
    """Whether two quantities are equal within a tolerance relative to the second.

    A number without a unit agrees with the same number with one, because the question may have named the unit.
    """
    if _DATE in (given.dimension, wanted.dimension):
        return (given.dimension, given.number) == (wanted.dimension, wanted.number)
    if given.unit and wanted.unit and given.unit.removesuffix(_DAILY) == wanted.unit.removesuffix(_DAILY):
        return abs(given.number - wanted.number) <= (tolerance + 1e-9) * abs(wanted.number)  # "40 mg … daily"
    if "°" in (given.unit, wanted.unit) and {given.unit, wanted.unit} & {"°c", "°f"}:  # "38.5 degrees"
        return abs(given.number - wanted.number) <= (tolerance + 1e-9) * abs(wanted.number)
    if given.dimension and wanted.dimension:
        close = abs(given.value - wanted.value) <= (tolerance + 1e-9) * wanted.size
        return given.dimension == wanted.dimension and close
    return abs(given.number - wanted.number) <= (tolerance + 1e-9) * abs(wanted.number)


@bounded_cache
def ratios(text: str) -> list[tuple[str, str]]:
    """The ratios of a text (1:2, 120/80), as pairs of digits."""
    return _RATIO.findall(normalize_answer(text))


@bounded_cache
def quantities(text: str) -> tuple[Quantity, ...]:
    """Every number of a text with its unit, and every date; digits inside words (T2, L5) are no numbers."""
    return _measured(_spelled(text))


@bounded_cache
def codes(text: str) -> tuple[str, ...]:
    """The digits inside words: 1 and 2 of "brca1/brca2", 67 of "ki-67"."""
    return tuple(_CODE.findall(_spelled(text)))


@bounded_cache
def ways_to_read(text: str) -> tuple[tuple[Quantity, ...], ...]:
    """The other ways to read the quantities of a text.

    "15/15" of a score may be 15, "3+4=7" may be 7, "12 500" may be 12500, and "3/4" may be 0.75 or 75 %.
    """
    spelled = _spelled(text)
    texts = []
    if _SUM.search(spelled):
        texts.append(_SUM.sub(_total, spelled))
    if _GROUPS.search(spelled):
        texts.append(_GROUPS.sub(lambda match: match[0].replace(" ", ""), spelled))
    if _MIXED.search(spelled):
        texts.append(_MIXED.sub(lambda match: f"{int(match[1]) + int(match[2]) / max(int(match[3]), 1):g}", spelled))
    elif _SHARE.search(spelled):
        scored = bool(_SCORED.search(spelled))
        texts.append(_SHARE.sub(lambda match: match[1] if _is_maximum(match, scored) else match[0], spelled))
        texts.append(_SHARE.sub(lambda match: _part(match, 1, "g"), spelled))
        texts.append(_SHARE.sub(lambda match: f"{_part(match, 100, '.0f')}%", spelled))
    return tuple(_measured(one) for one in dict.fromkeys(texts) if one != spelled)


def _total(match: re.Match[str]) -> str:
    return match[1] or str(sum(map(int, match[0].split("+"))))


def _is_maximum(match: re.Match[str], scored: bool) -> bool:
    return int(match[1]) <= int(match[2]) and (match[1] == match[2] or (scored and match[2] in _MAXIMA))


def _part(match: re.Match[str], times: int, spell: str) -> str:
    below, above = int(match[1]), int(match[2])
    return f"{times * below / above:{spell}}" if 0 < below < above else match[0]


@bounded_cache
def _spelled(text: str) -> str:
    text = _OPTION.sub("", normalize_answer(text))
    text = ROMAN.get(text, text)
    if "x" in text:
        text = _COPIES.sub("", _TIMES.sub(" x ", text))
    if "-" in text:
        text = _NAME.sub(r"\1", text)
    text = digits(text)
    return _TWICE.sub(r"\1", text) if "(" in text else text


def _measured(text: str) -> tuple[Quantity, ...]:
    found = list(_QUANTITY.finditer(text))
    units = [match["unit"] for match in found]
    for place in range(len(found) - 2, -1, -1):  # the numbers of a series have the unit behind its last one
        if units[place] is None and found[place]["number"]:
            between = text[found[place].end("number") : found[place + 1].start()]
            units[place] = units[place + 1] if _SERIES.fullmatch(between) else None
    return tuple(_quantity(match, unit) for match, unit in zip(found, units, strict=True))


def _quantity(match: re.Match[str], unit: str | None) -> Quantity:
    if match["date"]:
        digits = float(match["date"].replace("-", ""))
        return Quantity(match["date"], digits, digits, 0.0, _DATE)
    number = float(match["number"].replace(",", "."))
    if match["power"] and number == 10.0:
        number = 10.0 ** int(match["power"])
    if unit is None:
        before = match.string[max(0, match.start() - 24) : match.start()]
        extra = bool(match["weak"])
        weak = extra or before.rstrip(" :-").removesuffix("s").endswith(_GRADED)
        return Quantity(match["number"], number, number, abs(number), "", weak=weak, extra=extra)
    factor = _factor("/".join(_pint_name(part) for part in unit.split("/")))
    size = factor.scale * number
    return Quantity(f"{match['number']} {unit}", number, size + factor.offset, abs(size), factor.dimension, unit)


def _pint_name(part: str) -> str:
    power = part[-1] if part[-1] in "23" else ""
    name = PINT_NAMES[part.removesuffix(power)]
    return f"({name})**{power}" if power else f"({name})"


@dataclass(frozen=True, slots=True)
class _Factor:
    scale: float
    offset: float
    dimension: str


@functools.cache
def _factor(unit: str) -> _Factor:
    """The conversion of a unit to base units: value = scale · number + offset (only temperatures have an offset)."""
    bare = unit.strip("()")
    zero, one = (_registry().Quantity(number, bare if bare in ("degC", "degF") else unit) for number in (0.0, 1.0))
    offset = float(zero.to_base_units().magnitude)
    dimension = str(one.dimensionality) if not one.dimensionless else bare
    return _Factor(float(one.to_base_units().magnitude) - offset, offset, dimension)


@functools.cache
def _registry() -> pint.UnitRegistry[float]:
    import pint  # slow to import, and not needed to compose a config

    return pint.UnitRegistry()
