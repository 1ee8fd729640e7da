"""Holds a user's function in a process, with the standard library alone: another Python can run this file by its path.

It reads calls from a socket and answers each with what the function returned, or why there is nothing. When the parent
is gone the kernel ends it, even within a regular expression that never returns.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import importlib.util
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from multiprocessing.connection import Connection
from typing import Any

_MOST_ITEMS = 100_000  # a generator may never end; a list of more items than replies is refused anyway
_PR_SET_PDEATHSIG = 1


def plain(value: Any) -> Any:
    """The value as dicts, lists, numbers, texts and None, which can be compared and sent between processes.

    NumPy's and torch's arrays and scalars are read by their own `tolist`, so neither library is imported. What has no
    plain form becomes its `repr`.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # of a subclass too, whose module the scoring process cannot import
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "__float__"):
        return float(value)  # Fraction, Decimal
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(item) for item in itertools.islice(value, _MOST_ITEMS)]
    return repr(value)


def called(function: Callable[..., Any], args: Any, kwargs: Any, offered: Any = ()) -> tuple[bool, Any]:
    """Call a function, a coroutine function too.

    Args:
        function: to call.
        args: its positional arguments.
        kwargs: its keyword arguments.
        offered: names of keyword arguments that it gets only where it takes them.

    Returns:
        True and `plain` of its result, or False and what it raised, as a text: not every exception survives pickling.
    """
    try:
        taken = signature_of(function)
        result = function(*args, **{name: kwargs[name] for name in kwargs if name not in offered or takes(taken, name)})
        return True, plain(asyncio.run(result) if inspect.iscoroutine(result) else result)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything; the caller raises it again
        return False, f"{type(error).__name__}: {error}"


def made(factory: Callable[..., Any], settings: Mapping[str, Any], name: str) -> Callable[..., Any] | str:
    """The function that a factory makes, or why there is none."""
    try:
        function = factory(**settings)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as in `called`
        return f"{name} made no function: {type(error).__name__}: {error}"
    return function if callable(function) else f"{name} made {plain(function)!r}, which is no function"


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """The parameters of a function; None for one that shows none, such as one written in C."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def takes(signature: inspect.Signature | None, name: str) -> bool:
    """Whether a function with such parameters takes a keyword argument."""
    if signature is None:
        return True
    parameters = signature.parameters
    return name in parameters or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def serve(connection: Connection, function: Callable[..., Any] | str) -> None:
    """Say that the function is there, or why it is not, and then answer calls until the parent closes the socket."""
    connection.send(function if isinstance(function, str) else None)
    while not isinstance(function, str):
        connection.send(called(function, *connection.recv()))


def end_with_parent() -> None:
    """Let the kernel send this process SIGTERM when its parent dies; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _found(name: str) -> Any:
    """What `module:name` or `/path/file.py:name` names."""
    where, _, attribute = name.rpartition(":")
    if not where.endswith(".py"):
        return reduce(getattr, attribute.split("."), importlib.import_module(where))
    spec = importlib.util.spec_from_file_location(os.path.basename(where)[:-3], where)
    assert spec is not None  # of a name that ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return reduce(getattr, attribute.split("."), module)


def _described(function: Any) -> dict[str, Any]:
    """What a check has to know of a function: whether it is one, its marks, and its parameters."""
    signature = signature_of(function) if callable(function) else None
    return {
        "callable": callable(function),
        "needs_group": bool(getattr(function, "needs_group", False)),
        "parameters": signature
        and [
            (one.name, int(one.kind), one.default is not inspect.Parameter.empty)
            for one in signature.parameters.values()
        ],
    }


def main() -> None:
    """Load the function that the first message names; then describe it, or make one of it and answer calls."""
    end_with_parent()
    connection = Connection(int(sys.argv[1]))
    try:
        name, factory, only_describe = connection.recv()
        try:
            function: Any = _found(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything; the parent is told
            connection.send(f"{name} cannot be loaded by {sys.executable} ({type(error).__name__}: {error})")
            return
        if only_describe:
            connection.send(_described(function))
        else:
            serve(connection, function if factory is None else made(function, factory, name))
    except EOFError:
        return


if __name__ == "__main__":
    main()
