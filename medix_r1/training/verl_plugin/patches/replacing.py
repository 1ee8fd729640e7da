"""Replaces (monkey-patches) a function of verl or vLLM, once a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_OURS = "_medix_r1_replaced"


def replace_once(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace `owner.name` by `make(owner.name)`; if it was replaced already, do nothing.

    Args:
        owner: a module or class of verl or vLLM.
        name: name of a function in it.
        make: takes the original function and returns the replacement.

    Raises:
        AttributeError: `owner` has no such function.
    """
    theirs = getattr(owner, name)
    if hasattr(theirs, _OURS):
        return
    ours = make(theirs)
    setattr(ours, _OURS, theirs)
    setattr(owner, name, ours)
