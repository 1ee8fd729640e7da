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
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from medix_r1.errors import RewardError, RewardTimeout

_MODULE = "medix_r1.rewards.adapters.child"


class FunctionProcesses:
    """Up to `size` processes that each hold the function; they start when they are needed.

    Args:
        name: reference to the function.
        timeout: seconds for one call. Starting a process and importing the function do not count.
        size: calls at one time.
    """

    def __init__(self, name: str, *, timeout: float, size: int) -> None:
        self._name, self._timeout = name, timeout
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Process] = []

    async def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
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
                    answer = await process.ask((tuple(args), dict(kwargs)))
            except TimeoutError as error:
                process.kill()
                raise RewardTimeout(
                    f"{self._name} was not done after {self._timeout:g} s and was stopped (timeout)", code="timeout"
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
        return _Process(self._name)

    def close(self) -> None:
        """End the idle processes; those that work are ended by their cancelled calls."""
        while self._idle:
            self._idle.pop().kill()


class _Process:
    """One child process and the socket to it."""

    def __init__(self, name: str) -> None:
        self._name, self._is_loaded = name, False
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C in a terminal is for the parent, and what the function starts dies with it
                env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)},
            )
        # Also when nobody closes the signal: with its last reference, or with the interpreter.
        self.kill = weakref.finalize(self, _end, self._process, self._connection)

    @property
    def is_alive(self) -> bool:
        """Whether the child still runs; an idle one has nothing to say, so a socket with news has been closed."""
        return self._process.poll() is None and not self._connection.poll()

    async def loaded(self) -> None:
        """Wait until the child has imported the function."""
        if not self._is_loaded and (problem := await self.ask(self._name)) is not None:
            raise RewardError(problem, code="raised")
        self._is_loaded = True

    async def ask(self, message: Any) -> Any:
        """Send a message and return the answer."""
        try:
            self._connection.send(message)
            await _readable(self._connection.fileno())
            return self._connection.recv()
        except (EOFError, OSError) as error:
            self.kill()
            code = self._process.returncode
            raise RewardError(f"the process of {self._name} ended (exit code {code})", code="raised") from error


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
