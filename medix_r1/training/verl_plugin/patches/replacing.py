"""Replaces (monkey-patches) a function of verl or vLLM, once a process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

_OURS = "_medix_r1_replaced"


def replace_once(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace `owner.name` by `make(owner.name)`; if it was replaced already, do nothing.

    An actor's class that was made before has copies of the methods that it inherits; they are replaced too.

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
    if isinstance(owner, type):
        for made in _below(owner):
            if _is_rays_copy(vars(made).get(name), theirs):
                setattr(made, name, ours)


def _below(owner: type[Any]) -> Iterator[type[Any]]:
    for made in owner.__subclasses__():
        yield made
        yield from _below(made)


def _is_rays_copy(found: Any, theirs: Callable[..., Any]) -> bool:
    """Whether it is what `ray.remote` puts into an actor's class for each inherited method, to trace its calls."""
    return inspect.isfunction(found) and inspect.getclosurevars(found).nonlocals.get("method") is theirs
