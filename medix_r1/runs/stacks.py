"""Where every process of a run is at this moment: asked with one signal, answered into the run's folder.

A hang has no traceback. So each Python process of a run lets `faulthandler` (standard library) answer SIGUSR2 with the
stacks of all its threads; that works while the process waits in a collective, holds the interpreter's lock, or has no
rights to be traced, as on most clusters. Reached are this node's processes.
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

VARIABLE = "MEDIX_R1_RUN"  # inherited by every process of a run, so that each can be told from another run's
_SIGNAL = signal.SIGUSR2
_TURN = 0.2  # seconds a process gets to answer, so that two do not write at once

_answers: BinaryIO | None = None  # kept open: faulthandler writes to it in a signal handler


def answer() -> None:
    """Let this process tell where it is when it is asked; does nothing outside a run, or where its folder is not."""
    global _answers
    if _answers is not None or not os.environ.get(VARIABLE):
        return
    try:
        _answers = RunFolder(Path(os.environ[VARIABLE])).stacks.open("ab")
    except OSError:
        return
    faulthandler.register(_SIGNAL, file=_answers, all_threads=True)


def write_stacks(folder: RunFolder) -> list[str]:
    """Append the stacks of the run's processes to `RUN/logs/stacks.txt`; returns the names of those asked."""
    asked = []
    for process in processes_of(folder):
        try:
            if not _can_answer(process.pid):
                continue
            name = " ".join(process.cmdline())[:100].strip() or process.name()
            with folder.stacks.open("a", encoding="utf-8") as file:
                file.write(f"\n=== {name} (pid {process.pid}), {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            process.send_signal(_SIGNAL)
        except (psutil.Error, OSError):
            continue
        asked.append(name)
        time.sleep(_TURN)
    return asked


def processes_of(folder: RunFolder) -> list[psutil.Process]:
    """Every process on this node that the run started, by its environment or by descent.

    Ray's daemons leave the tree, and a process that gives itself a title may lose its environment's text.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(VARIABLE) == str(folder.root):
                family = [process, *process.children(recursive=True)]
                found |= {member.pid: member for member in family}
        except (psutil.Error, OSError):
            continue
    return list(found.values())


def _can_answer(pid: int) -> bool:
    """Whether the process catches the signal; Ray's and other daemons do not, and it would end them."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (_SIGNAL - 1) & 1)
    return False
