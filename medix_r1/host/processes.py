"""Ends all processes of a command when the command ends, and removes what they leave behind.

A keeper process is started with a pipe as its standard input; the command holds the other end. When the pipe closes,
for whatever reason (Ctrl-C, `kill -9` of the command, a lost terminal), the keeper ends all its descendants. Daemons
that detach themselves (Ray's, vLLM's) are normally adopted by init. The keeper is a "child subreaper" (prctl(2)), so
the kernel makes them its children instead.

Standard library and psutil only, because a keeper must start fast and stay small.
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
    """The command that started this process has ended, or sent SIGTERM."""


@contextlib.contextmanager
def keeper(scratch: Path | None = None) -> Iterator[None]:
    """Make this process a keeper for a `with` block; at its end, end all descendants and remove what they left.

    Within the block, SIGTERM raises `Stopped`. SIGINT is ignored: the launcher handles Ctrl-C and closes the pipe.

    Args:
        scratch: a temporary folder to delete at the end.
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
    """Make the kernel hand orphaned descendants to this process; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """For a child, at its start: the kernel sends it SIGTERM when its parent dies (PR_SET_PDEATHSIG); Linux only.

    The parent is the thread that started the child. The signal does not reach the child's own children.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def launcher_is_gone(timeout: float) -> bool:
    """Wait up to `timeout` seconds; returns whether the launcher's pipe has closed."""
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], timeout)
    return bool(readable) and os.read(sys.stdin.fileno(), 1) == b""


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child and return its exit code.

    Raises:
        Stopped: the launcher has ended.
    """
    while process.poll() is None:
        if launcher_is_gone(timeout=0.5):
            raise Stopped
    return process.returncode


def end_descendants() -> None:
    """Send SIGTERM to all descendants, SIGKILL to those left after a grace period of 5 s, and wait for them."""
    me = psutil.Process()
    for signal_number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        descendants = me.children(recursive=True)
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal_number)
        psutil.wait_procs(descendants, timeout=patience)
    while me.children():  # orphans that were adopted meanwhile
        for process in me.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(me.children(), timeout=1.0)


def shared_memory_objects() -> set[Path]:
    """This user's objects in /dev/shm."""
    if not _SHARED_MEMORY.is_dir():
        return set()
    mine = set()
    for path in _SHARED_MEMORY.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat(follow_symlinks=False).st_uid == os.getuid():
                mine.add(path)
    return mine


def in_use() -> set[int]:
    """Inodes of the objects in /dev/shm that any process has mapped or open, such as another run's.

    Names do not work here: glibc maps a semaphore under a temporary name and renames it afterwards.
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
    """Remove unused objects in /dev/shm that are not in `before`, and the temporary folder `scratch`."""
    leftovers = shared_memory_objects() - before
    used = in_use() if leftovers else set()
    for path in leftovers:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if path.stat(follow_symlinks=False).st_ino not in used:
                path.unlink()
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
