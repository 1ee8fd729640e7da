"""A user's function: loads it, checks that it takes its framework's arguments, and calls it apart from the loop."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError, Problem, RewardError
from medix_r1.rewards.adapters.process import FunctionProcesses
from medix_r1.rewards.adapters.returned import plain

# A function with one of these parameters, and no default for it, needs all replies of a group.
GROUP_PARAMETERS = ("group", "groups", "group_size", "group_ids", "num_generations", "advantages")
GROUP_MARK = "needs_group"  # a function may also declare it: compute_score.needs_group = True
TIMEOUT = 60.0  # seconds for one call, by default


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        named = [f"{name}=…" for name in self.kwargs or ()]
        return ", ".join([*("…" for _ in self.args), *named])


@dataclass(frozen=True, slots=True)
class Failed:
    """What a function raised; a plain text, because not every exception survives pickling."""

    reason: str


def called(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a function, a coroutine function too; returns `plain` of its result, or `Failed`."""
    try:
        result = function(*args, **kwargs)
        return plain(asyncio.run(result) if inspect.iscoroutine(result) else result)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything; the caller raises it again
        return Failed(f"{type(error).__name__}: {error}")


class UserFunction:
    """Calls a user's function in processes that can be killed, or in threads of this process.

    Args:
        name: `module:name` or `./file.py:name`.
        timeout: seconds for one call, in a process. None: in a thread, which nothing can stop.
        workers: calls at one time, at least 1.

    Raises:
        ConfigError: the function cannot be loaded or needs a whole group, or a number is out of range.
    """

    def __init__(self, name: Any, *, timeout: float | None, workers: int) -> None:
        if problems := [*function_problems(name), *_number_problems(timeout, workers)]:
            raise ConfigError(problems)
        self.name: str = name
        self.function = user_code.load(name, "function")
        self._processes = None if timeout is None else FunctionProcesses(name, timeout=timeout, size=workers)
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="reward")  # starts none by itself

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter] | None:
        """The function's parameters; None for one that shows none, such as a function written in C."""
        signature = _signature(self.function)
        return None if signature is None else signature.parameters

    def binding_problems(self, call: Call) -> list[Problem]:
        """A problem if the function cannot take these arguments."""
        signature = _signature(self.function)
        if signature is None:
            return []
        try:
            signature.bind(*call.args, **(call.kwargs or {}))
        except TypeError as error:
            text = f"{self.name}{signature} would be called as ({call}): {error}"
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
            result = await self._processes(call.args, kwargs)
        else:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._threads, called, self.function, call.args, kwargs)
        if isinstance(result, Failed):
            raise RewardError(f"{self.name} raised {result.reason}", code="raised")
        return result

    def close(self) -> None:
        """End the processes."""
        if self._processes is not None:
            self._processes.close()


def function_problems(name: Any) -> list[Problem]:
    """Every problem of an adapter's `function`: it cannot be imported or called, or it needs a whole group."""
    try:
        function = user_code.load(name, "function")
    except ConfigError as error:
        return list(error.problems)
    if not callable(function):
        return [Problem("function", "not-a-function", f"{name} is not a function")]
    refusal = "it needs its whole group, but each reply is scored alone as soon as it is finished"
    if getattr(function, GROUP_MARK, False):
        return [Problem("function", "needs-its-group", f"{name} says {GROUP_MARK}=True: {refusal}")]
    signature = _signature(function)
    needed = [
        parameter.name
        for parameter in (signature.parameters.values() if signature else ())
        if parameter.name in GROUP_PARAMETERS and parameter.default is inspect.Parameter.empty
    ]
    return [Problem("function", "needs-its-group", f"{name} asks for {', '.join(needed)}: {refusal}")] if needed else []


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # written in C, without a signature
        return None


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
