"""Stack dumps of all processes of a run, to diagnose hangs.

Each Python process of a run registers `faulthandler` (standard library) for SIGUSR2, which dumps the stacks of all its
threads. This works even while the process waits in a collective or holds the GIL, and needs no ptrace rights, which
most clusters do not give. Only processes of this node are reached.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from pathlib import Path
from typing import BinaryIO

import psutil

from medix_r1.runs.folder import RunFolder

VARIABLE = "MEDIX_R1_RUN"  # the run's folder; inherited by all its processes, which identifies them
_SIGNAL = signal.SIGUSR2
_DUMP_TIME = 0.2  # seconds for the rest of a dump to be written
_ANSWER_TIMEOUT = 5.0  # seconds for a dump to begin: a busy process answers late, and dumps must not interleave

_dump_file: BinaryIO | None = None  # stays open, because faulthandler writes to it in a signal handler


def register() -> None:
    """Make this process dump its stacks on SIGUSR2; does nothing outside a run, or if the run's folder is missing."""
    global _dump_file
    if _dump_file is not None or not os.environ.get(VARIABLE):
        return
    try:
        _dump_file = RunFolder(Path(os.environ[VARIABLE])).stacks.open("ab")
    except OSError:
        return
    faulthandler.register(_SIGNAL, file=_dump_file, all_threads=True)


def write_stacks(folder: RunFolder) -> list[str]:
    """Append the stacks of the run's processes to `RUN/logs/stacks.txt`; returns the names of these processes."""
    names = []
    for process in processes_of(folder):
        try:
            if not _catches_signal(process.pid):
                continue
            name = " ".join(process.cmdline())[:100].strip() or process.name()
            with folder.stacks.open("a", encoding="utf-8") as file:
                file.write(f"\n=== {name} (pid {process.pid}), {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            size = folder.stacks.stat().st_size
            os.kill(process.pid, _SIGNAL)
            _wait_for_growth(folder.stacks, size)
        except (psutil.Error, OSError):
            continue
        names.append(name)
    return names


def _wait_for_growth(file: Path, size: int) -> None:
    deadline = time.monotonic() + _ANSWER_TIMEOUT
    while file.stat().st_size == size and time.monotonic() < deadline:
        time.sleep(_DUMP_TIME / 4)
    time.sleep(_DUMP_TIME)


def processes_of(folder: RunFolder) -> list[psutil.Process]:
    """All processes of the run on this node, by an environment variable or by descent.

    Both are needed: Ray's daemons leave the process tree, and setting a process title can overwrite the environment.
    """
    every = {process.pid: process for process in psutil.process_iter()}
    parents: dict[int, int] = {}
    found: set[int] = set()
    for pid, process in every.items():
        try:
            parents[pid] = (
                process.ppid()
            )  # not `children`, which drops those that seem older after a change of the clock
            if process.environ().get(VARIABLE) == str(folder.root):
                found.add(pid)
        except (psutil.Error, OSError):
            continue
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [every[pid] for pid in sorted(found)]


def _catches_signal(pid: int) -> bool:
    """Whether the process catches SIGUSR2; it would kill one that does not, such as Ray's daemons."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (_SIGNAL - 1) & 1)
    return False
