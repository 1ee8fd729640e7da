"""Memoises pure functions of text, because the rollouts of a group repeat each other.

Memory is bounded: each function has an LRU cache of fixed size, and results for long texts are not cached. So a policy
cannot fill the memory with its replies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

_MAX_LENGTH = 1000  # characters
_CACHE_SIZE = 4096  # results of each function; enough for a few hundred groups

Rest = TypeVarTuple("Rest")
Result = TypeVar("Result")

_CLEAR: list[Callable[[], None]] = []


def bounded_cache(function: Callable[[str, *Rest], Result]) -> Callable[[str, *Rest], Result]:
    """Memoise a function whose first argument is a text, for texts of at most 1,000 characters.

    All arguments must be hashable. Results are shared, so callers must not change them.
    """
    cached = functools.lru_cache(maxsize=_CACHE_SIZE)(function)
    _CLEAR.append(cached.cache_clear)

    @functools.wraps(function)
    def memoised(*arguments: *tuple[str, *Rest]) -> Result:
        # A signature (text, *rest) would double the cost of a call.
        return (cached if len(arguments[0]) <= _MAX_LENGTH else function)(*arguments)

    return memoised


def clear_caches() -> None:
    """Clear all caches, so that a benchmark starts as a new process would."""
    for clear in _CLEAR:
        clear()
