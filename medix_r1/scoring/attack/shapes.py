"""What may stand in place of a text that pays: another character of its class, or other letters in its shape."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable

_CLASSES = {
    "digit": "3857",
    "capital letter": "QKWZ",
    "small letter": "qkwz",
    "accented letter": "éöñç",
    "punctuation mark": "!;?#",
    "symbol": "★→✅≥",
}
_SHAPES = {"A": "[A-Z]", "a": "[a-z]", "0": "[0-9]"}


def class_of(piece: str) -> str | None:
    """The class of a single character that others of its class may stand for."""
    if len(piece) != 1:
        return None
    category = unicodedata.category(piece)
    if category == "Nd":
        return "digit"
    if piece.isascii() and piece.isalpha():
        return "capital letter" if piece.isupper() else "small letter"
    if category.startswith("L"):
        plain = unicodedata.normalize("NFD", piece)[0]
        return "accented letter" if plain.isascii() and plain != piece else f"{_script(piece)} letter"
    return "punctuation mark" if category.startswith("P") else "symbol" if category.startswith("S") else None


def others_of(piece: str) -> list[str]:
    """Two other characters of a character's class; none where it has no class."""
    name = class_of(piece)
    if name is None:
        return []
    near = [chr(ord(piece) + step) for step in range(-12, 13) if step and ord(piece) + step > 0]
    return [one for one in _CLASSES.get(name, "".join(near)) if one != piece and class_of(one) == name][:2]


def _script(letter: str) -> str:
    """The script of a letter, by the first word of its name."""
    return unicodedata.name(letter, "unnamed").split()[0].capitalize()


def members(name: str) -> Callable[[str], bool]:
    """Whether a character belongs to a class."""
    return lambda character: class_of(character) == name


def shape_of(text: str) -> str:
    """A text with A for each capital, a for each small letter and 0 for each digit."""
    return "".join(_kind(character) or character for character in text)


def in_shape(text: str, letters: str, rng: random.Random) -> str:
    """Another text of the same shape."""
    known = sorted({c for c in letters.lower() if c.isascii() and c.isalpha()}) or ["n"]
    draws = {
        "A": lambda: rng.choice(known).upper(),
        "a": lambda: rng.choice(known),
        "0": lambda: rng.choice("123456789"),
    }
    return "".join(draws[kind]() if (kind := _kind(character)) else character for character in text)


def of_shape(shape: str) -> re.Pattern[str]:
    """Matches texts of a shape."""
    return re.compile("".join(_SHAPES.get(character) or re.escape(character) for character in shape))


def _kind(character: str) -> str | None:
    if not character.isascii() or not character.isalnum():
        return None
    return "0" if character.isdigit() else "A" if character.isupper() else "a"
