"""Reads what a user's function returned, after `outside.plain` has made plain values of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from medix_r1.errors import RewardError
from medix_r1.rewards.base import clamped


def only(value: Any, name: str) -> Any:
    """The only item of a list of length 1.

    Args:
        value: what the function returned, as `plain` gives it.
        name: of the function, for the message.

    Raises:
        RewardError: it is anything else.
    """
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    size = f"{len(value)} values" if isinstance(value, list) else repr(value)
    raise RewardError(f"{name} returned {size} for one reply", code="not-one-score")


def exactly(value: Any, count: int, name: str) -> list[Any]:
    """A list of `count` items.

    Args:
        value: what the function returned, as `plain` gives it.
        count: replies that it was called with.
        name: of the function, for the message.

    Raises:
        RewardError: it is anything else.
    """
    if count == 1:
        return [only(value, name)]
    if isinstance(value, list) and len(value) == count:
        return value
    size = f"{len(value)} values" if isinstance(value, list) else repr(value)
    raise RewardError(f"{name} returned {size} for {count} replies", code="not-one-score")


def row(columns: Mapping[str, Any], number: int, count: int) -> dict[str, Any]:
    """One reply's entries of columns; a column that is no list of as many entries is the same for all."""
    return {
        name: values[number] if isinstance(values, list) and len(values) == count else values
        for name, values in columns.items()
    }


def one_of(value: Any, name: str) -> Any:
    """The value itself, or the only item of a list: for frameworks that take both."""
    return only(value, name) if isinstance(value, list) else value


def score(value: Any, rescale: tuple[float, float], name: str) -> float:
    """A score in [0, 1].

    Args:
        value: the number that the function returned.
        rescale: the function's own lowest and highest score, which become 0 and 1.
        name: of the function, for the message.

    Raises:
        RewardError: it is no number, or outside its range by more than rounding.
    """
    number = _number(value)
    if number is None:
        raise RewardError(f"{name} returned {value!r}, which is no number", code="not-a-number")
    low, high = rescale
    if (within := clamped((number - low) / (high - low))) is None:
        raise RewardError(
            f"{name} returned {number}, which is not between {low:g} and {high:g}; rescale: [lowest, highest] maps it",
            code="out-of-range",
        )
    return within


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a mapping, lists of one included; everything else is left out."""
    found = {}
    for key, value in values.items():
        number = _number(value[0] if isinstance(value, list) and len(value) == 1 else value)
        if number is not None and math.isfinite(number):
            found[key] = number
    return found


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, bool | int | float) else None
    except OverflowError:  # an integer of hundreds of digits
        return math.inf
