"""What a command and its descendants hold, and what of it is still there after their end."""

from __future__ import annotations

import contextlib
import os

import psutil

from medix_r1.runs.folder import RunFolder
from medix_r1.runs.stacks import processes_of

SHARED_MEMORY = "/dev/shm"


class Held:
    """Processes, listening ports and shared memory of a run, as they are now.

    Args:
        pid: of the command.
        shared_memory: what lay in shared memory before it was started.
    """

    def __init__(self, pid: int, folder: RunFolder, shared_memory: set[str]) -> None:
        self.folder, self._shared_memory = folder, shared_memory
        self.family = psutil.Process(pid).children(recursive=True)
        self.ports = {port for process in self.family for port in _listening(process)}

    def left(self) -> dict[str, list[object]]:
        """By kind, what has not gone; empty where nothing is left."""
        alive = [p for p in self.family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        found = {
            "processes": [*alive, *processes_of(self.folder)],
            "ports": sorted(self.ports & {port for process in psutil.process_iter() for port in _listening(process)}),
            "shared memory": sorted(set(os.listdir(SHARED_MEMORY)) - self._shared_memory),
        }
        return {kind: list(things) for kind, things in found.items() if things}


def _listening(process: psutil.Process) -> set[int]:
    with contextlib.suppress(psutil.Error):
        return {one.laddr.port for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN}
    return set()
