"""Results of pure functions of text that are kept, because the rollouts of a group say the same things.

Bounded twice: the least recently used result goes first, and a text that is long is worked out anew each time, so that
a policy cannot fill the memory with its replies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

_LONGEST = 1000  # characters
_KEPT = 4096  # results of each function: those of a few hundred groups

Rest = TypeVarTuple("Rest")
Result = TypeVar("Result")

_FORGET: list[Callable[[], None]] = []


def bounded_cache(function: Callable[[str, *Rest], Result]) -> Callable[[str, *Rest], Result]:
    """Keep what a function says about short texts; what it returns is shared, so nobody may change it.

    The length of the first argument decides, and the others must be hashable.
    """
    kept = functools.lru_cache(maxsize=_KEPT)(function)
    _FORGET.append(kept.cache_clear)

    @functools.wraps(function)
    def from_memory(*arguments: *tuple[str, *Rest]) -> Result:
        # Taken apart into a text and a rest, and put together again, a call would cost twice as much.
        return (kept if len(arguments[0]) <= _LONGEST else function)(*arguments)

    return from_memory


def clear_caches() -> None:
    """Drop all results, so that a measurement starts as a new process would."""
    for clear in _FORGET:
        clear()
