"""Monitor `numeric`: 1 when the answer's quantities are the reference's, units and conversions understood.

28 mm agrees with 2.8 cm and not with 28 cm. Units are converted by pint; it never sees the reply's own text, only units
of a short list, because its parser evaluates expressions.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medix_r1.bounded_cache import bounded_cache
from medix_r1.errors import ConfigError
from medix_r1.grammar import compatibility_form
from medix_r1.rewards.base import Sample, Score

if TYPE_CHECKING:
    import pint

# Units as pint calls them -> how else answers write them, besides a plural s.
_SPELLINGS = {
    **{"m": "meter metre", "cm": "centimeter centimetre", "mm": "millimeter millimetre", "nm": "", "km": ""},
    **{"micrometer": "um μm micron", "inch": "inches", "degree": "°", "percent": "%"},
    **{"kg": "kilogram", "g": "gram", "mg": "milligram", "microgram": "ug μg mcg", "ng": "", "pg": ""},
    **{"liter": "L l litre", "dL": "dl", "mL": "ml cc milliliter millilitre"},
    **{"mole": "mol", "mmol": "", "micromole": "umol μmol"},
    **{"mmHg": "mmhg", "cmH2O": "", "kPa": "kpa", "Pa": ""},
    **{"degC": "°C", "degF": "°F"},
    **{"ms": "", "second": "s sec", "minute": "min", "hour": "h hr", "day": "", "week": "", "month": "", "year": "yr"},
    **{"1/minute": "bpm", "Hz": "hz", "kHz": "khz", "MHz": "mhz"},
    **{"Gy": "gy", "mGy": "mgy", "Sv": "", "mSv": "msv", "keV": "", "kV": "kv", "mA": "", "T": ""},
}
_UNITS = {spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others.split())}
_NUMBER = (
    r"(?<![\w.,])(?<![A-Za-z]\d-)(?<![A-Za-z]\d\d-)(?:(?<![\d)])[-−])?"  # the dash of 5-10 mm is no sign
    r"(?:\d{1,12}(?:,\d{3}(?!\d)){0,4}(?:[.,]\d{1,12})?|\.\d{1,12})(?![\d,.]{0,24}\d)"
)
_UNIT = r"cmH2O|(?:[^\W\d_]|[°%])[^\W\d_]{0,14}(?:\^?[23])?(?:/[^\W\d_]{1,14}(?:\^?[23])?)?"
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})(?:\^(?P<power>-?\d{{1,2}}))?(?:\s{{0,2}}-?(?P<unit>{_UNIT}))?")
_SERIES = re.compile(r"\s{0,4}(?:x|×|\*|/|:|by|to|and|or|-|–|,)\s{0,4}")  # 28 x 27 mm: the unit is of both
_RATIO = re.compile(r"(\d{1,6})\s{0,2}[:/]\s{0,2}(\d{1,6})")
_TIMES = re.compile(r"(?<=\d)[xX×](?=\d)")
_WORDS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_WORDS |= {"ten": "10", "eleven": "11", "twelve": "12"}
_NO_NUMBER = Score(None, "the reference has no number")
_NUMBER_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written and the same in base units; `dimension` is empty for a bare number.

    `size` is the number's own share of the value, without the offset that a temperature has.
    """

    text: str
    number: float
    value: float
    size: float
    dimension: str


class NumericMonitor:
    """Quantities that agree, divided by the larger of the two counts. Each one is used once, so a list earns nothing.

    A quantity without a unit agrees with the same number with one: the question may have named it. Not applicable when
    the reference has no number.

    Args:
        tolerance: share of the reference's value that two quantities may lie apart.
    """

    def __init__(self, *, tolerance: float = 0.01) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise ConfigError.of("reward.signals.numeric.tolerance", "out-of-range", f"{tolerance} is not in [0, 1)")
        self.tolerance = tolerance

    def score(self, sample: Sample) -> Score:
        wanted = quantities(sample.reference.answer)
        if not wanted:
            return _NO_NUMBER
        if turned := _turned(sample.completion.answer or "", sample.reference.answer):
            return Score(0.0, f"{turned} the other way round")
        given = quantities(sample.completion.answer or "")
        left, missing = list(given), []
        for quantity in wanted:
            match = next((other for other in left if self._agree(other, quantity)), None)
            if match is None:
                missing.append(quantity.text)
            else:
                left.remove(match)
        value = (len(wanted) - len(missing)) / max(len(wanted), len(given))
        notes = [f"{', '.join(missing)} missing"] if missing else []
        notes += [f"{', '.join(quantity.text for quantity in left[:5])} too many"] if left else []
        return Score(value, "; ".join(notes) or "all quantities agree")

    def _agree(self, given: Quantity, wanted: Quantity) -> bool:
        if given.dimension and wanted.dimension:
            close = abs(given.value - wanted.value) <= (self.tolerance + 1e-9) * wanted.size
            return given.dimension == wanted.dimension and close
        return abs(given.number - wanted.number) <= (self.tolerance + 1e-9) * abs(wanted.number)


def _turned(answer: str, reference: str) -> str | None:
    """A ratio of the reference (1:2, 120/80) that the answer has the other way round only."""
    given, wanted = _ratios(answer), _ratios(reference)
    return next((f"{a}:{b}" for a, b in wanted if a != b and (b, a) in given and (a, b) not in given), None)


@bounded_cache
def _ratios(text: str) -> list[tuple[str, str]]:
    return _RATIO.findall(compatibility_form(text))


@bounded_cache
def quantities(text: str) -> tuple[Quantity, ...]:
    """Every number of a text with its unit; digits inside words (T2, L5) are names and no numbers."""
    text = _TIMES.sub(" x ", compatibility_form(text).replace("µ", "μ"))
    text = _NUMBER_WORD.sub(lambda match: _WORDS[match[1].lower()], text)
    found = list(_QUANTITY.finditer(text))
    units = [match["unit"] if _known_unit(match["unit"]) else None for match in found]
    for place in range(len(found) - 2, -1, -1):  # a series takes the unit behind it
        between = text[found[place].end("number") : found[place + 1].start()]
        if units[place] is None and _SERIES.fullmatch(between):
            units[place] = units[place + 1]
    return tuple(_quantity(match, unit) for match, unit in zip(found, units, strict=True))


def _quantity(match: re.Match[str], written: str | None) -> Quantity:
    number = float(re.sub(r",(?=\d{3}(?!\d))", "", match["number"]).replace(",", ".").replace("−", "-"))
    if match["power"] and number == 10.0:
        number = 10.0 ** int(match["power"])
    unit = _known_unit(written)
    if unit is None:
        return Quantity(match["number"], number, number, abs(number), "")
    factor = _factor(unit)
    size = factor.scale * number
    return Quantity(f"{match['number']} {written}", number, size + factor.offset, abs(size), factor.dimension)


def _known_unit(written: str | None) -> str | None:
    """What pint calls a unit, or None for a word that is none."""
    if written is None:
        return None
    names = [_known_part(part) for part in written.split("/")]
    return "/".join(name for name in names if name) if all(names) else None


def _known_part(part: str) -> str | None:
    base, power = (part.rstrip("23^"), part[-1]) if part[-1] in "23" else (part, "")
    name = _UNITS.get(base)
    if name is None and len(base) > 1:  # 45 M is a man's age
        name = _UNITS.get(base.lower()) or _UNITS.get(base.lower().removesuffix("s"))
    if name is None:
        return None
    return f"({name})**{power}" if power else f"({name})"


@dataclass(frozen=True, slots=True)
class _Factor:
    scale: float
    offset: float
    dimension: str


@functools.cache
def _factor(unit: str) -> _Factor:
    """How a unit of the list turns into base units: value = scale · number + offset (temperatures have an offset)."""
    bare = unit.strip("()")
    zero, one = (_registry().Quantity(number, bare if bare in ("degC", "degF") else unit) for number in (0.0, 1.0))
    offset = float(zero.to_base_units().magnitude)
    dimension = str(one.dimensionality) if not one.dimensionless else bare
    return _Factor(float(one.to_base_units().magnitude) - offset, offset, dimension)


@functools.cache
def _registry() -> pint.UnitRegistry[float]:
    import pint  # takes a moment, and composing a config only wants this module's signatures

    return pint.UnitRegistry()
