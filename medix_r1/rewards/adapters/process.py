"""Calls a user's function in processes of its own, which are killed when a call takes too long or is cancelled.

A thread cannot be stopped: a regular expression that backtracks holds the interpreter's lock, so that neither the event
loop nor Ctrl-C gets a turn. `concurrent.futures` and `anyio` cannot end one worker at a deadline that leaves out the
import of the user's file, so this starts its processes itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import RewardError, RewardTimeout
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.adapters import outside

_MODULE = "medix_r1.rewards.adapters.child"
_FILE = Path(outside.__file__)  # run by its path, since the other environment lacks this package
_TO_DESCRIBE = 180.0  # seconds; importing a function may import torch
_OURS_ALONE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", user_code.PLUGINS)


@dataclass(frozen=True, slots=True)
class Loading:
    """What a process holds.

    Attributes:
        name: reference to a function.
        factory: the arguments with which that makes the function to call; None calls it itself.
        python: interpreter of another environment; None: this one.
    """

    name: str
    factory: Mapping[str, Any] | None = None
    python: str | None = None

    @property
    def command(self) -> list[str]:
        """The command of the process; the number of its socket follows."""
        if self.python is not None:
            return [self.python, "-I", str(_FILE)]
        return [sys.executable, "-P", "-m", _MODULE]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the process; another environment keeps its own packages."""
        if self.python is not None:
            return {name: value for name, value in os.environ.items() if name not in _OURS_ALONE}
        return {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}

    def message(self, *, only_describe: bool = False) -> tuple[str, dict[str, Any] | None, bool]:
        """The first message to the process."""
        return self.name, None if self.factory is None else dict(self.factory), only_describe


class FunctionProcesses:
    """Up to `size` processes that each hold the function; they start when they are needed.

    Args:
        loading: the function.
        timeout: seconds for one call. Starting a process, importing the function and making it do not count.
        size: calls at one time.
    """

    def __init__(self, loading: Loading, *, timeout: float, size: int) -> None:
        self._loading, self._timeout = loading, timeout
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Process] = []

    async def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any], offered: Collection[str]) -> Any:
        """What `called` returns for the function.

        Raises:
            RewardTimeout: the call took longer than `timeout`.
            RewardError: the process died, or could not load the function.
        """
        async with self._free:
            process = self._take()
            try:
                await process.loaded()
                async with asyncio.timeout(self._timeout):
                    answer = await process.ask((tuple(args), dict(kwargs), tuple(offered)))
            except TimeoutError as error:
                process.kill()
                raise RewardTimeout(
                    f"{self._loading.name} was not done after {self._timeout:g} s and was stopped (timeout)",
                    code="timeout",
                ) from error
            except BaseException:  # also a cancelled task: nobody waits for the call any more
                process.kill()
                raise
            self._idle.append(process)
        return answer

    def _take(self) -> _Process:
        """An idle process that has not died meanwhile, or a new one."""
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            process.kill()  # closes the socket
        return _Process(self._loading)

    def close(self) -> None:
        """End the idle processes; those that work are ended by their cancelled calls."""
        while self._idle:
            self._idle.pop().kill()


class _Process:
    """One child process and the socket to it."""

    def __init__(self, loading: Loading) -> None:
        self._loading, self._is_loaded = loading, False
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [*loading.command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C in a terminal is for the parent, and what the function starts dies with it
                env=loading.environment,
            )
        # Also when nobody closes the signal: with its last reference, or with the interpreter.
        self.kill = weakref.finalize(self, _end, self._process, self._connection)

    @property
    def is_alive(self) -> bool:
        """Whether the child still runs; an idle one has nothing to say, so a socket with news has been closed."""
        return self._process.poll() is None and not self._connection.poll()

    async def loaded(self) -> None:
        """Wait until the child has imported the function."""
        if not self._is_loaded and (problem := await self.ask(self._loading.message())) is not None:
            raise RewardError(problem, code="raised")
        self._is_loaded = True

    def describe(self) -> dict[str, Any] | str:
        """What the process says of its function, or why it cannot load it."""
        try:
            self._connection.send(self._loading.message(only_describe=True))
            if not self._connection.poll(_TO_DESCRIBE):
                return f"{self._loading.name} is not imported after {_TO_DESCRIBE:.0f} s"
            answer: dict[str, Any] | str = self._connection.recv()
            return answer
        except (EOFError, OSError):
            return f"{self._loading.python} ended before it had loaded {self._loading.name}"

    async def ask(self, message: Any) -> Any:
        """Send a message and return the answer."""
        try:
            self._connection.send(message)
            await _readable(self._connection.fileno())
            return self._connection.recv()
        except (EOFError, OSError) as error:
            self.kill()
            code = self._process.returncode
            raise RewardError(f"the process of {self._loading.name} ended (exit code {code})", code="raised") from error


@bounded_cache
def described(name: str, python: str) -> dict[str, Any] | str:
    """What another Python says of a function, as `_described` in outside.py; a text says why it cannot load it."""
    process = _Process(Loading(name, python=python))
    try:
        return process.describe()
    finally:
        process.kill()


def _end(process: subprocess.Popen[bytes], connection: Connection) -> None:
    """End a process, and what it started in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    connection.close()


async def _readable(descriptor: int) -> None:
    """Wait until a socket has something to read, or its other end is closed."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
        os.set_blocking(descriptor, True)  # uvloop, Ray's loop, leaves it without; a long message needs several reads
