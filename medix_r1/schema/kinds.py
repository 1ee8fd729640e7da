"""Kinds of values: which types, range and choices a key takes, and what is said of a value that it does not take.

A kind is written as type names joined by `|`: int, number, bool, text, list, map, null. `any` takes everything.
"""

from __future__ import annotations

import collections.abc
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict

from medix_r1.errors import Problem

ANY = "any"
_WORDS = {
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "text": "a text",
    "list": "a list",
    "map": "a mapping",
    "null": "null",
}
_CODES = {
    "int": "not-an-integer",
    "number": "not-a-number",
    "bool": "not-true-or-false",
    "text": "not-a-text",
    "list": "not-a-list",
    "map": "not-a-mapping",
}
_YES = frozenset(["yes", "y", "on", "ja", "oui", "si", "1", "enable", "enabled", "wahr"])
_NO = frozenset(["no", "n", "off", "nein", "non", "0", "disable", "disabled", "falsch"])
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SIZES = {"k": 1_000, "ki": 1024, "kb": 1_000, "m": 1_000_000, "mb": 1_000_000, "g": 10**9, "gb": 10**9}
_SECONDS = re.compile(r"limit|patience|timeout|interval|seconds|delay|wait")
_INTEGER = re.compile(r"[+-]?\d+(?:_\d+)*")
_MEASURE = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)\s*")
_ANNOTATIONS = {int: "int", float: "number", bool: "bool", str: "text", type(None): "null", Any: ANY}


class Kind(BaseModel):
    """What a key takes. Bounds hold for numbers, and for each number of a list.

    Attributes:
        type: type names joined by `|`.
        min: least value.
        above: the value is greater than this.
        max: greatest value.
        below: the value is less than this.
        choices: the only texts that are allowed.
        entries: kind of every entry of a list.
        size: number of entries of a list.
        filled: a text has to hold more than blanks.
        why: what the bound is for, in a few words for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = ""
    min: float | None = None
    above: float | None = None
    max: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    entries: Kind | None = None
    size: int | None = None
    filled: bool = False
    why: str = ""

    @property
    def types(self) -> Sequence[str]:
        return self.type.split("|")

    @property
    def words(self) -> str:
        """The kind for people: `a whole number, at least 1, or null`."""
        named = [_WORDS[name] for name in self.types if name in _WORDS and name != "null"]
        first = f"one of {', '.join(self.choices)}" if self.choices else " or ".join(named)
        return ", ".join(filter(None, [first, self.bounds])) + (", or null" if "null" in self.types else "")

    @property
    def bounds(self) -> str:
        """The range for people; empty without one."""
        parts = {"at least": self.min, "more than": self.above, "at most": self.max, "less than": self.below}
        return " and ".join(f"{word} {_plain(bound)}" for word, bound in parts.items() if bound is not None)


def converted(kind: Kind, value: Any) -> Any:
    """A value that came as a text (from the environment, or quoted) in the type that its key takes, or unchanged."""
    types = kind.types
    if isinstance(value, str) and "text" not in types and ANY not in types:
        text = value.strip()
        if text in ("true", "false") and "bool" in types:
            return text == "true"
        if _INTEGER.fullmatch(text) and ("int" in types or "number" in types):
            return int(text)
        if "number" in types and (number := _number(text)) is not None:
            return number
    if isinstance(value, int) and not isinstance(value, bool) and "text" in types and not _takes_number(types):
        return str(value)  # a name that is a number
    return value


def refusal(kind: Kind, value: Any, key: str) -> Problem | None:
    """The problem of a value that a key does not take; None if it takes it.

    Args:
        kind: what the key takes.
        value: a plain value: text, number, true or false, null, list or mapping.
        key: the key, whose name also says whether a number of it means seconds.
    """
    types = kind.types
    if ANY in types or not kind.type:
        return None
    if _is_of(types, value):
        return _out_of_range(kind, value, key) or _bad_entry(kind, value, key)
    if value is None:
        return Problem(key, "no-null", f"null is no value here; give {kind.words}")
    first = next(name for name in types if name != "null")
    return Problem(key, _CODES[first], f"{_shown(value)} is not {kind.words}{_hint(types, value, key)}")


def _is_of(types: Sequence[str], value: Any) -> bool:
    if value is None:
        return "null" in types
    if isinstance(value, bool):
        return "bool" in types
    if isinstance(value, int):
        return _takes_number(types)
    if isinstance(value, float):
        return "number" in types and math.isfinite(value)
    if isinstance(value, str):
        return "text" in types
    return ("map" if isinstance(value, Mapping) else "list") in types


def _takes_number(types: Sequence[str]) -> bool:
    return "int" in types or "number" in types


def _out_of_range(kind: Kind, value: Any, key: str) -> Problem | None:
    if kind.filled and isinstance(value, str) and not value.strip():
        return Problem(key, "empty-text", f"is empty; give a text{', or null' * ('null' in kind.types)}")
    if kind.choices and isinstance(value, str) and value not in kind.choices:
        near = difflib.get_close_matches(value, kind.choices, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(kind.choices)}"
        why = f" ({kind.why})" if kind.why else ""
        return Problem(key, "not-a-choice", f"there is no {_shown(value)}{why}; {hint}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    outside = (
        (kind.min is not None and value < kind.min)
        or (kind.above is not None and value <= kind.above)
        or (kind.max is not None and value > kind.max)
        or (kind.below is not None and value >= kind.below)
    )
    if not outside:
        return None
    why = f" ({kind.why})" if kind.why else ""
    return Problem(key, "out-of-range", f"{_shown(value)} is out of range{why}; use {kind.words}")


def _bad_entry(kind: Kind, value: Any, key: str) -> Problem | None:
    if not isinstance(value, list | tuple):
        return None
    if kind.size is not None and len(value) != kind.size:
        return Problem(key, "not-so-many", f"{_shown(value)} has {len(value)} entries; give {kind.size}")
    if kind.entries is None:
        return None
    for number, entry in enumerate(value, 1):
        if found := refusal(kind.entries, entry, key):
            return replace(found, text=f"entry {number}: {found.text}")
    return None


def _hint(types: Sequence[str], value: Any, key: str) -> str:
    """What to write instead, where it can be told."""
    if isinstance(value, float) and "int" in types and math.isfinite(value):
        return f"; write {round(value)}"
    if isinstance(value, bool | int | float) and "text" in types:
        return f"; write it in quotes, '\"{_shown(value)}\"'"
    if isinstance(value, int) and "bool" in types:
        return f"; write {'true' if value else 'false'}"
    if not isinstance(value, str):
        return ""
    word = value.strip().lower()
    if "bool" in types and word in _YES | _NO:
        return f"; write {'true' if word in _YES else 'false'}"
    if "list" in types and not _takes_number(types):
        return f"; write [{value}]"
    return f"; write {meant}" if _takes_number(types) and (meant := _meant(types, value, key)) else ""


def _meant(types: Sequence[str], value: str, key: str) -> str:
    """The number that a text such as `10m`, `1k` or `1e-6x` means; empty where it cannot be told."""
    match = _MEASURE.fullmatch(value)
    number = None if match is None else _number(match[1])
    if match is None or number is None:
        return ""
    unit = match[2].lower()
    factor = _UNITS.get(unit) if _SECONDS.search(key.rpartition(".")[2]) else _SIZES.get(unit)
    meant = number * (factor or 1)
    if unit == "%":
        meant = number / 100
    whole = "int" in types or float(meant).is_integer()
    return str(round(meant)) if whole and abs(meant) < 1e15 else f"{meant:g}"


def _plain(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def of_parameter(annotation: Any, default: Any) -> Kind:
    """The kind of a parameter or field: its annotation's, with null where that is the default.

    Bounds stand in the annotation, as in `Annotated[int, Kind(min=1)]`; the texts of a `Literal` are its choices.
    """
    type_ = of_annotation(annotation)
    if default is None and ANY not in type_:
        type_ = "|".join(dict.fromkeys([*type_.split("|"), "null"]))
    bounds, choices = Kind(), tuple[str, ...]()
    for one in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(one) is typing.Literal:
            choices = tuple(text for text in typing.get_args(one) if isinstance(text, str))
        bounds = next((extra for extra in getattr(one, "__metadata__", ()) if isinstance(extra, Kind)), bounds)
    return bounds.model_copy(update={"type": bounds.type or type_, "choices": bounds.choices or choices})


def of_annotation(annotation: Any) -> str:
    """The kind of a parameter or field by its annotation; `any` for what a config cannot say."""
    return "|".join(dict.fromkeys(_parts(annotation)))


def _parts(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return ["text"]
    if annotation in _ANNOTATIONS:
        return [_ANNOTATIONS[annotation]]
    origin = typing.get_origin(annotation) or annotation
    if origin in (typing.Union, types.UnionType):
        parts = [part for one in typing.get_args(annotation) for part in _parts(one)]
        return [ANY] if ANY in parts else parts
    if origin is typing.Literal:
        return [part for one in typing.get_args(annotation) for part in _parts(type(one))]
    if origin is typing.Annotated:
        return _parts(typing.get_args(annotation)[0])
    if not isinstance(origin, type):
        return [ANY]
    if issubclass(origin, collections.abc.Mapping):
        return ["map"]
    return ["list"] if issubclass(origin, collections.abc.Collection) else [ANY]


def of_value(value: Any) -> str:
    """The kind of a default: what a YAML file that gives no type lets one expect."""
    if value is None or (isinstance(value, str) and (value == "???" or "${" in value)):
        return ANY
    if isinstance(value, bool | int | float | str):
        return _ANNOTATIONS[type(value)]
    return "map" if isinstance(value, Mapping) else "list"
