"""Processes that must not outlive the command a person typed, and what they leave behind.

A keeper process is started with a pipe as its standard input, held open by the command. When the pipe closes, for
whatever reason (Ctrl-C, `kill -9` of the command, a lost terminal), the keeper ends everything below it. Daemons that
detach themselves (Ray's, vLLM's) would be adopted by init; the kernel hands them to the keeper instead, because it is a
"child subreaper" (prctl(2)).

Standard library and psutil only: a keeper must start in a blink and stay small.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_SHARED_MEMORY = Path("/dev/shm")


class Stopped(Exception):
    """The command that started us is gone or asked us to stop."""


@contextlib.contextmanager
def keeper(scratch: Path | None = None) -> Iterator[None]:
    """Be a keeper for the length of a `with` block; at its end everything below us ends and leaves nothing behind.

    Inside, SIGTERM raises `Stopped`; Ctrl-C is left to the launcher, which closes the pipe.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    _become_subreaper()
    before = shared_memory_objects()
    try:
        yield
    finally:
        end_descendants()
        remove_leftovers(before, scratch)


def _stop(*_: object) -> None:
    raise Stopped


def _become_subreaper() -> None:
    """Adopt the daemons that our descendants leave behind; Linux only, elsewhere they are found by descent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """For a child's `preexec_fn`: it gets SIGTERM when the process that started it dies, however that happens.

    Enough for a child without children of its own; Linux only.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def launcher_is_gone(timeout: float) -> bool:
    """Wait up to `timeout` seconds for the pipe from the launcher to close."""
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], timeout)
    return bool(readable) and os.read(sys.stdin.fileno(), 1) == b""


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child while watching the launcher; raises `Stopped` when that is gone."""
    while process.poll() is None:
        if launcher_is_gone(timeout=0.5):
            raise Stopped
    return process.returncode


def end_descendants() -> None:
    """SIGTERM to everything below us, SIGKILL to what is left after a grace period; then wait for all of it."""
    me = psutil.Process()
    for signal_number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        descendants = me.children(recursive=True)
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal_number)
        psutil.wait_procs(descendants, timeout=patience)
    while me.children():  # adopted meanwhile
        for process in me.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(me.children(), timeout=1.0)


def shared_memory_objects() -> set[Path]:
    """Our user's objects in /dev/shm."""
    if not _SHARED_MEMORY.is_dir():
        return set()
    mine = set()
    for path in _SHARED_MEMORY.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat(follow_symlinks=False).st_uid == os.getuid():
                mine.add(path)
    return mine


def in_use() -> set[int]:
    """Inodes of the objects in /dev/shm that a living process has mapped or open; another run's must not be touched.

    Inodes, not names: glibc maps a semaphore under a temporary name and then gives it its own.
    """
    used: set[int] = set()
    for process in psutil.process_iter():
        folder = Path("/proc") / str(process.pid)
        with contextlib.suppress(psutil.Error, OSError):
            lines = (folder / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
            used.update(int(line.split()[4]) for line in lines if f" {_SHARED_MEMORY}/" in line)
            opened = [file.fd for file in process.open_files() if file.path.startswith(str(_SHARED_MEMORY))]
            used.update((folder / "fd" / str(fd)).stat().st_ino for fd in opened)
    return used


def remove_leftovers(before: set[Path], scratch: Path | None) -> None:
    """Remove what the run left in shared memory and in its temporary folder."""
    leftovers = shared_memory_objects() - before
    used = in_use() if leftovers else set()
    for path in leftovers:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if path.stat(follow_symlinks=False).st_ino not in used:
                path.unlink()
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
