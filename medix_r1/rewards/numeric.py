"""Monitor `numeric`: 1 when the answer's quantities agree with the reference's, after unit conversion.

28 mm agrees with 2.8 cm and not with 28 cm. pint converts the units. Its parser evaluates expressions, so it never gets
text of the reply, only the unit names listed here.
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

# pint's name of a unit -> other spellings of it; a plural s is understood without being listed
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
    r"(?<![\w.,])(?<![A-Za-z]\d-)(?<![A-Za-z]\d\d-)(?:(?<![\d)])[-−])?"  # the dash of "5-10 mm" is no minus sign
    r"(?:\d{1,12}(?:,\d{3}(?!\d)){0,4}(?:[.,]\d{1,12})?|\.\d{1,12})(?![\d,.]{0,24}\d)"
)
_UNIT = r"cmH2O|(?:[^\W\d_]|[°%])[^\W\d_]{0,14}(?:\^?[23])?(?:/[^\W\d_]{1,14}(?:\^?[23])?)?"
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})(?:\^(?P<power>-?\d{{1,2}}))?(?:\s{{0,2}}-?(?P<unit>{_UNIT}))?")
_SERIES = re.compile(r"\s{0,4}(?:x|×|\*|/|:|by|to|and|or|-|–|,)\s{0,4}")  # in "28 x 27 mm" both numbers have the unit
_RATIO = re.compile(r"(\d{1,6})\s{0,2}[:/]\s{0,2}(\d{1,6})")
_TIMES = re.compile(r"(?<=\d)[xX×](?=\d)")
_WORDS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_WORDS |= {"ten": "10", "eleven": "11", "twelve": "12"}
_NO_NUMBER = Score(None, "the reference has no number")
_NUMBER_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, as written and in base units.

    Attributes:
        text: as written, with the unit.
        number: the number as written.
        value: in base units.
        size: absolute value in base units without the offset of temperature scales; tolerances are relative to it.
        dimension: pint's dimensionality, or the unit of a dimensionless quantity; empty for a bare number.
    """

    text: str
    number: float
    value: float
    size: float
    dimension: str


class NumericMonitor:
    """Matching quantities / max(quantities of the answer, quantities of the reference).

    Each quantity of the answer matches at most one of the reference, so a list of guesses earns little. A number
    without a unit matches the same number with one, because the question may have named the unit. A ratio in the wrong
    order (2:1 for 1:2) scores 0. Not applicable when the reference has no number.

    Args:
        tolerance: allowed difference relative to the reference's value, in [0, 1).

    Raises:
        ConfigError: the tolerance is out of range.
    """

    def __init__(self, *, tolerance: float = 0.01) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise ConfigError.of("reward.signals.numeric.tolerance", "out-of-range", f"{tolerance} is not in [0, 1)")
        self.tolerance = tolerance

    def score(self, sample: Sample) -> Score:
        wanted = quantities(sample.reference.answer)
        if not wanted:
            return _NO_NUMBER
        if turned := _reversed_ratio(sample.completion.answer or "", sample.reference.answer):
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


def _reversed_ratio(answer: str, reference: str) -> str | None:
    """The first ratio of the reference (1:2, 120/80) that the answer has only in the reverse order, or None."""
    given, wanted = _ratios(answer), _ratios(reference)
    return next((f"{a}:{b}" for a, b in wanted if a != b and (b, a) in given and (a, b) not in given), None)


@bounded_cache
def _ratios(text: str) -> list[tuple[str, str]]:
    return _RATIO.findall(compatibility_form(text))


@bounded_cache
def quantities(text: str) -> tuple[Quantity, ...]:
    """Every number of a text with its unit; digits inside words (T2, L5) are no numbers."""
    text = _TIMES.sub(" x ", compatibility_form(text).replace("µ", "μ"))
    text = _NUMBER_WORD.sub(lambda match: _WORDS[match[1].lower()], text)
    found = list(_QUANTITY.finditer(text))
    units = [match["unit"] if _known_unit(match["unit"]) else None for match in found]
    for place in range(len(found) - 2, -1, -1):  # the numbers of a series have the unit behind its last one
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
    """pint's name of a unit, or None for a word that is no known unit."""
    if written is None:
        return None
    names = [_known_part(part) for part in written.split("/")]
    return "/".join(name for name in names if name) if all(names) else None


def _known_part(part: str) -> str | None:
    base, power = (part.rstrip("23^"), part[-1]) if part[-1] in "23" else (part, "")
    name = _UNITS.get(base)
    if name is None and len(base) > 1:  # not single letters: "45 M" is an age and a sex
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
