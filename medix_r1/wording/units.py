"""One spelling for numbers with units: `5mm`, `50 %`, `mm Hg`, `mg daily`, `µg`, thousands separators, ages."""

from __future__ import annotations

import re

# Our spelling of a unit → pint's name of it = other spellings. A plural s is understood without being listed. A unit
# written with one letter gets its word. A lone m, c or f is a unit behind a decimal point only: "45 M" is a man.
_TABLE = {
    **{"meter": "meter = metre = m", "cm": "cm = centimeter = centimetre", "mm": "mm = millimeter = millimetre"},
    **{"nm": "nm = nanometer", "km": "km = kilometer", "mcm": "micrometer = um = μm = micron", "inch": "inch = inches"},
    **{"kg": "kg = kilogram = kilo", "gram": "gram = g = gm", "mg": "mg = milligram", "mcg": "microgram = ug = μg"},
    **{"ng": "ng = nanogram", "pg": "pg = picogram", "liter": "liter = litre = l", "dl": "dL = deciliter = decilitre"},
    **{"ml": "mL = cc = milliliter = millilitre", "mole": "mole", "mmol": "mmol = millimole"},
    **{"mcmol": "micromole = umol = μmol", "mmhg": "mmHg = mm hg = mm of mercury", "cmh2o": "cmH2O = cm h2o"},
    **{"kpa": "kPa = kilopascal", "°": "degree = deg"},
    **{"°c": "degC = deg c = degree c = degree celsius = degrees c = degrees celsius = celsius = ° c = c"},
    **{"°f": "degF = deg f = degree f = degree fahrenheit = degrees f = degrees fahrenheit = fahrenheit = ° f = f"},
    **{"%": "percent = per cent", "ms": "ms = msec = millisecond", "sec": "second = s", "min": "minute"},
    **{"hour": "hour = h = hr", "day": "day", "week": "week = wk", "month": "month = mo", "year": "year = yr"},
    **{"bpm": "1/minute = beats/min = beats/minute = beats per minute = beats per min", "hz": "Hz = hertz"},
    **{"khz": "kHz", "mhz": "MHz", "gy": "Gy = gray", "mgy": "mGy", "sv": "Sv = sievert", "msv": "mSv = millisievert"},
    **{"kev": "keV", "kv": "kV", "ma": "mA", "tesla": "T", "cgy": "cGy = centigray", "mbq": "MBq"},
}
PINT_NAMES = {unit: names.split(" = ")[0] for unit, names in _TABLE.items()}
_SPELLINGS = {
    spelling.lower(): unit
    for unit, names in _TABLE.items()
    for name in (unit, *names.split(" = "))
    for spelling in ((name,) if len(name) < 2 or not name.isalpha() else (name, f"{name}s"))
}
_PHRASES = "|".join(re.escape(name) for name in sorted(_SPELLINGS, key=len, reverse=True) if not name.isalpha())
_NAME = rf"(?:(?:{_PHRASES})(?![a-z])|[a-zμ°]{{1,12}})"
_RATE = r"(?: ?/ ?| per | an? )"
_MEASURED = re.compile(
    r"(?:(?<![\w.,^])|(?<=\dx))(?P<number>\d{1,12}(?:[.,]\d{1,12})?)(?P<gap>[ -]?)"
    rf"(?P<unit>{_NAME})(?P<power>\^?[23])?(?![a-z\d])(?!-?old)"
    rf"(?P<rates>(?:{_RATE}{_NAME}(?![a-z\d])){{0,2}})"
    r"(?P<daily> (?:once (?:a|per|every|each) day|once daily|daily|every day|each day|qd|q24h|od)(?![a-z]))?",
    re.IGNORECASE,
)
_RATE_NAME = re.compile(rf"{_RATE}(?P<unit>{_NAME})", re.IGNORECASE)
_AGE = re.compile(
    r"(?<![\w.])(\d{1,3})[ -]?(?:y/o|y\.o\.|yo|yrs? old|yr-old|years?[ -]old|years? of age)(?![a-z])",
    re.IGNORECASE,
)
_WEEKS_AND_DAYS = re.compile(
    r"(?<![\w.])(\d{1,2}) ?w(?:eeks?|ks?)?,?(?: and)? ?(\d) ?d(?:ays?)?(?![a-z])", re.IGNORECASE
)
# Names of how often a day, without numbers: "two times a day" holds no second dose.
_OFTEN = {
    name: re.compile(
        rf"(?<![\w-])(?:{times}(?: (?:times )?(?:daily|(?:a|per|each|every) day)| ?/ ?day)|{name}"
        rf"|{'[.]'.join(name)}[.])(?!\w)",
        re.IGNORECASE,
    )
    for name, times in (
        ("bid", "(?:twice|2|two|2 ?[x×])"),
        ("tid", "(?:thrice|3|three|3 ?[x×])"),
        ("qid", "(?:4|four|4 ?[x×])"),
    )
}
_EVERY = re.compile(
    r"(?<![^\W_])q\.? ?(?!24|1 ?d)(\d{1,2}(?:-\d{1,2})?) ?(h|hr|hrs|hours?|d|days?|min|wks?|weeks?)(?![^\W_])",
    re.IGNORECASE,
)
_OF_TIMES = re.compile(r"daily|day|bid|tid|qid|b\.i|t\.i|q\.i", re.IGNORECASE)
_SPACED = re.compile(r"(?<![\w.,])\d{1,3}(?: \d{3}){0,3} 000(?![\w.,])")
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3}){1,4}(?![\d,])")
_DECIMAL_COMMA = re.compile(r"(\d{1,3}),(\d{1,2})")


def spell_quantities(text: str) -> str:
    """Give numbers and units one spelling; words that are no units stay as they are.

    Args:
        text: in Unicode's compatibility form, with single spaces.
    """
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _SPACED.sub(lambda match: match[0].replace(" ", ""), text)
    if _OF_TIMES.search(text):
        for name, often in _OFTEN.items():
            text = often.sub(name, text)
    if "q" in text or "Q" in text:
        text = _EVERY.sub(
            lambda match: f"every {match[1]} {match[2].replace('d', 'day') if len(match[2]) < 2 else match[2]}", text
        )
    text = _WEEKS_AND_DAYS.sub(r"\1 week \2 day", _AGE.sub(r"\1-year-old", text))
    return _MEASURED.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    name, unit = match["unit"].lower(), known_unit(match["unit"])
    if (
        unit is None
        or (match["gap"] == "-" and len(name) == 1)
        or (name in ("m", "c", "f") and "." not in match["number"])
    ):
        return match[0]
    decimal = _DECIMAL_COMMA.fullmatch(match["number"])
    number = f"{decimal[1]}.{decimal[2]}" if decimal else match["number"]
    written = f"{number}{'' if unit == '%' else ' '}{unit}{(match['power'] or '').replace('^', '')}"
    rates = [known_unit(rate["unit"]) for rate in _RATE_NAME.finditer(match["rates"])]
    if not all(rates):
        return written + match["rates"] + (match["daily"] or "")
    return "/".join([written, *(rate for rate in rates if rate), *(["day"] if match["daily"] else [])])


def known_unit(written: str) -> str | None:
    """Our spelling of a unit, or None for a word that is no unit."""
    return _SPELLINGS.get(written.lower())
