"""A user's function: loads it, checks that it takes its framework's arguments, and calls it apart from the loop."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError, Problem, RewardError
from medix_r1.rewards.adapters.outside import called, made, signature_of, takes
from medix_r1.rewards.adapters.process import FunctionProcesses, Loading, described

# A function with one of these parameters, and no default for it, needs all replies of a group.
GIVEN_WITH_GROUP = ("group_size", "group_ids", "num_generations")
GROUP_PARAMETERS = (*GIVEN_WITH_GROUP, "group", "groups", "advantages")
GROUP_MARK = "needs_group"  # a function may also declare it: compute_score.needs_group = True
TIMEOUT = 60.0  # seconds for one call, by default
_KINDS = {
    int(kind): kind
    for kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    )
}


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call; of those in `offered` a function gets what it takes."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    offered: frozenset[str] = frozenset()

    def __str__(self) -> str:
        named = [f"{name}=…" for name in self.kwargs or ()]
        return ", ".join([*("…" for _ in self.args), *named])


class UserFunction:
    """Calls a user's function in processes that can be killed, or in threads of this process.

    Args:
        name: `module:name` or `./file.py:name`.
        timeout: seconds for one call, in a process. None: in a thread, which nothing can stop.
        workers: calls at one time, at least 1.
        factory: `name` is called with these arguments, once in each process, and returns the function. None: it is the
            function.
        python: interpreter of another environment, which alone loads `name`. None: this environment.

    Raises:
        ConfigError: the function cannot be loaded, or a setting is out of range.
    """

    def __init__(
        self,
        name: Any,
        *,
        timeout: float | None,
        workers: int,
        factory: Mapping[str, Any] | None = None,
        python: str | None = None,
    ) -> None:
        problems = [*_number_problems(timeout, workers), *_python_problems(python, timeout)]
        problems = [*([] if python is not None and problems else function_problems(name, factory, python)), *problems]
        if problems:
            raise ConfigError(problems)
        self.name: str = name
        loading = Loading(user_code.absolute(name), None if factory is None else dict(factory), python)
        found = _loaded(name, python)
        # Only the child process knows the parameters of the function that a factory makes.
        self._signature = found.signature if factory is None else None
        self._processes = None if timeout is None else FunctionProcesses(loading, timeout=timeout, size=workers)
        # It starts no thread before the first call.
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="reward")
        self._in_thread = _Made(found.function, loading) if python is None else None

    def takes(self, name: str) -> bool:
        """Whether the function takes a keyword argument; True for one that does not show its parameters."""
        return takes(self._signature, name)

    def names(self, name: str) -> bool:
        """Whether the function shows a parameter of this name."""
        return self._signature is not None and name in self._signature.parameters

    def binding_problems(self, call: Call) -> list[Problem]:
        """A problem if the function cannot take these arguments."""
        if self._signature is None:
            return []
        kwargs = call.kwargs or {}
        try:
            self._signature.bind(
                *call.args, **{name: kwargs[name] for name in kwargs if name not in call.offered or self.takes(name)}
            )
        except TypeError as error:
            text = f"{self.name}{self._signature} would be called as ({call}): {error}"
            return [Problem("function", "arguments-do-not-fit", text)]
        return []

    async def __call__(self, call: Call) -> Any:
        """Call the function; returns its result as `plain` gives it.

        Raises:
            RewardTimeout: it took too long.
            RewardError: it raised, or its process died.
        """
        kwargs = call.kwargs or {}
        if self._processes is not None:
            is_result, result = await self._processes(call.args, kwargs, call.offered)
        else:
            assert self._in_thread is not None  # a function of another Python always has a process
            loop = asyncio.get_running_loop()
            is_result, result = await loop.run_in_executor(
                self._threads, self._in_thread, call.args, kwargs, call.offered
            )
        if not is_result:
            raise RewardError(f"{self.name} raised {result}", code="raised")
        return result

    def close(self) -> None:
        """End the processes."""
        if self._processes is not None:
            self._processes.close()


class _Made:
    """A function that is called in this process; what makes it is called at its first call."""

    def __init__(self, function: Any, loading: Loading) -> None:
        self._function, self._loading, self._lock = function, loading, Lock()
        self._is_made = loading.factory is None

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any], offered: Collection[str]) -> tuple[bool, Any]:
        with self._lock:
            if not self._is_made:
                self._function = made(self._function, self._loading.factory or {}, self._loading.name)
                self._is_made = True
        if isinstance(self._function, str):
            return False, self._function
        return called(self._function, args, kwargs, offered)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A function of a config; `function` is None for one that another Python has loaded."""

    function: Any
    is_callable: bool
    needs_group: bool
    signature: inspect.Signature | None


def _loaded(name: Any, python: str | None) -> _Loaded:
    """Load a function here, or let another Python describe it.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if python is None:
        function = user_code.load(name, "function")
        signature = signature_of(function) if callable(function) else None
        return _Loaded(function, callable(function), bool(getattr(function, GROUP_MARK, False)), signature)
    if problems := _interpreter_problems(python):
        raise ConfigError(problems)
    if not isinstance(name, str) or ":" not in name:
        raise ConfigError.of("function", "not-module-and-name", f"{name!r} is neither module:name nor ./file.py:name")
    says = described(user_code.absolute(name), python)
    if isinstance(says, str):
        raise ConfigError.of("function", "not-loadable", says)
    empty = inspect.Parameter.empty
    found = says["parameters"]
    signature = (
        None
        if found is None
        else inspect.Signature(
            [
                inspect.Parameter(one, _KINDS[kind], default=None if has_default else empty)
                for one, kind, has_default in found
            ]
        )
    )
    return _Loaded(None, says["callable"], says["needs_group"], signature)


def function_problems(name: Any, factory: Any = None, python: str | None = None) -> list[Problem]:
    """Every problem of an adapter's `function`: it cannot be imported or called, or makes no function so."""
    try:
        found = _loaded(name, python)
    except ConfigError as error:
        return list(error.problems)
    if not found.is_callable:
        return [Problem("function", "not-a-function", f"{name} is not a function")]
    return [] if factory is None else _factory_problems(name, factory, found.signature)


def asks_for_group(name: Any, factory: Any = None, python: str | None = None) -> str | None:
    """How a function says that it needs all replies of a prompt at once; None if it does not, or a factory makes it.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if factory is not None:
        return None
    found = _loaded(name, python)
    if found.needs_group:
        return f"says {GROUP_MARK}=True"
    needed = [
        parameter.name
        for parameter in (found.signature.parameters.values() if found.signature else ())
        if parameter.name in GROUP_PARAMETERS and parameter.default is inspect.Parameter.empty
    ]
    return f"asks for {', '.join(needed)}" if needed else None


def _factory_problems(name: str, factory: Any, signature: inspect.Signature | None) -> list[Problem]:
    if not isinstance(factory, Mapping) or not all(isinstance(one, str) for one in factory):
        text = f"{factory!r} is no mapping of arguments to values; use {{}} for a factory that is called without any"
        return [Problem("factory", "not-a-mapping", text)]
    try:
        if signature is not None:
            signature.bind(**factory)
    except TypeError as error:
        given = ", ".join(f"{one}=…" for one in factory)
        return [Problem("factory", "arguments-do-not-fit", f"{name}{signature} would be called as ({given}): {error}")]
    return []


def _python_problems(python: Any, timeout: float | None) -> list[Problem]:
    """Problems of an interpreter, without starting it."""
    if python is None:
        return []
    if problems := _interpreter_problems(python):
        return problems
    if timeout is None:
        text = "null calls the function in this process, which is not the other Python's; give a number of seconds"
        return [Problem("timeout", "out-of-range", text)]
    return []


def _interpreter_problems(python: Any) -> list[Problem]:
    if isinstance(python, str) and os.access(python, os.X_OK) and Path(python).is_file():
        return []
    text = f"{python!r} is no interpreter; give the path of a Python, such as /opt/metrics/bin/python"
    return [Problem("python", "no-such-file", text)]


def _number_problems(timeout: Any, workers: Any) -> list[Problem]:
    problems = []
    if timeout is not None and (not is_number(timeout) or not 0 < timeout < math.inf):
        text = f"{timeout!r} is no number of seconds above 0; null calls the function in a thread"
        problems.append(Problem("timeout", "out-of-range", text))
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        problems.append(Problem("threads", "out-of-range", f"{workers!r} is no number of calls; use at least 1"))
    return problems


def is_number(value: Any) -> bool:
    """Whether a value of a config is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
