"""Puts a function in place of one of verl's or vLLM's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_OURS = "_medix_r1_replaced"


def replace_once(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace `owner.name` by what `make` returns for it; when it is ours already, do nothing.

    Args:
        owner: a module or class of theirs.
        name: the name of a function in it.
        make: takes their function and returns ours.

    Raises:
        AttributeError: there is no such function any more.
    """
    theirs = getattr(owner, name)
    if hasattr(theirs, _OURS):
        return
    ours = make(theirs)
    setattr(ours, _OURS, theirs)
    setattr(owner, name, ours)
