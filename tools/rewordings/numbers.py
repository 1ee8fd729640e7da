"""Numbers in other clothes: units, separators, words, neighbours."""

from __future__ import annotations

from decimal import Decimal

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ORDINALS = ["", "first", "second", "third", "fourth", "fifth", "sixth"]
ORDINALS += ["seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"]
ROMANS = ["", "I", "II", "III", "IV", "V", "VI"]
UNICODE_ROMANS = ["", "Ⅰ", "Ⅱ", "Ⅲ", "Ⅳ", "Ⅴ", "Ⅵ"]
# Unit → another unit and how many of it are one of the first.
OTHER_UNITS = {
    "mm": ("cm", "0.1"),
    "cm": ("mm", "10"),
    "mg": ("g", "0.001"),
    "g": ("mg", "1000"),
    "kg": ("g", "1000"),
    "mcg": ("mg", "0.001"),
    "mL": ("L", "0.001"),
    "L": ("mL", "1000"),
    "g/dL": ("g/L", "10"),
    "g/L": ("g/dL", "0.1"),
    "weeks": ("days", "7"),
    "hours": ("minutes", "60"),
    "years": ("months", "12"),
    "Gy": ("cGy", "100"),
}
# The same number with this unit is another quantity.
OTHER_SCALES = {"mm": "cm", "cm": "mm", "mg": "g", "g": "mg", "mcg": "mg", "mL": "L", "L": "mL", "weeks": "months"}


def plain(value: Decimal) -> str:
    """Without an exponent and without zeros behind the last digit."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def converted(amount: str, unit: str) -> tuple[str, str] | None:
    """The same quantity in another unit; None where none is usual."""
    if unit not in OTHER_UNITS:
        return None
    other, factor = OTHER_UNITS[unit]
    return plain(Decimal(amount) * Decimal(factor)), other


def padded(amount: str) -> str:
    """With a zero behind the last digit of a decimal fraction."""
    return f"{amount}0" if "." in amount else f"{amount}.0"


def grouped(amount: str, sign: str) -> str:
    """With a sign before each three digits."""
    return f"{int(amount):,}".replace(",", sign)


def neighbours(amount: str) -> list[str]:
    """Other numbers as round as this one, two of them below it; of a blood pressure both numbers move."""
    if "/" in amount:
        upper, lower = (int(part) for part in amount.split("/"))
        return [f"{upper + 10 * k}/{lower + 5 * k}" for k in (-2, -1, 1, 2)]
    value = Decimal(amount)
    step = Decimal(1).scaleb(value.normalize().as_tuple().exponent)  # type: ignore[arg-type]  # a finite number
    others = [value + k * step for k in (-2, -1, 1, 2, 3)]
    return [plain(other) for other in others if other and (other > 0) == (value > 0)]


def other_numeral(value: str) -> str | None:
    """A roman numeral for an arabic one and the other way round, up to six."""
    if value in ROMANS[1:]:
        return str(ROMANS.index(value))
    return ROMANS[int(value)] if value.isdecimal() and 0 < int(value) < len(ROMANS) else None


def ordinal_ending(day: int) -> str:
    """Of a day of a month: st, nd, rd or th."""
    return "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
