"""Owns every process of a run, so that none outlives it.

`medix-r1 train` starts this as its only child and holds the other end of its standard input. When that pipe closes, for
whatever reason (Ctrl-C, `kill -9` of the command, a lost terminal), everything below is ended: the judge server, the
driver, and Ray's and vLLM's daemons, which would otherwise be adopted by init. The kernel hands them to us instead,
because we are a "child subreaper" (prctl(2)). What they leave in /dev/shm is removed last.

Standard library and psutil only: this process must start in a blink and stay small.
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
import time
from pathlib import Path

import psutil
import yaml

from medix_r1.errors import ServerError
from medix_r1.models import server
from medix_r1.training.run_folder import RunFolder

_PR_SET_CHILD_SUBREAPER = 36
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_SHARED_MEMORY = Path("/dev/shm")


class Stopped(Exception):
    """The command that started us is gone or asked us to stop."""


def become_subreaper() -> None:
    """Adopt the daemons that our descendants leave behind; Linux only, elsewhere they are found by descent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def launcher_is_gone(timeout: float) -> bool:
    """Wait up to `timeout` seconds for the pipe from the launcher to close."""
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], timeout)
    return bool(readable) and os.read(sys.stdin.fileno(), 1) == b""


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child while watching the launcher."""
    while process.poll() is None:
        if launcher_is_gone(timeout=0.5):
            raise Stopped
    return process.returncode


def start_judge(folder: RunFolder, settings: server.ServerSettings, log: Path) -> subprocess.Popen[bytes]:
    """Start the judge server and wait for its health, watching the launcher meanwhile."""
    folder.add_event("judge_starting", model=settings.served_name, address=settings.address)
    with log.open("ab") as file:
        process = server.start(settings, file)
    deadline = time.monotonic() + settings.start_timeout
    while server.served_models(settings.address) is None and process.poll() is None and time.monotonic() < deadline:
        if launcher_is_gone(timeout=0.5):
            raise Stopped
    seconds = server.wait_until_ready(settings, process, log)
    folder.add_event("judge_ready", seconds=seconds)
    return process


def supervise(folder: RunFolder, attempt: int) -> int:
    """Run judge and driver; returns the exit code of the run."""
    config = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    if config["judge"].get("server"):
        judge_log = folder.log(attempt).with_suffix(".judge.log")
        start_judge(folder, server.ServerSettings(**config["judge"]["server"]), judge_log)
    environment = {
        **os.environ,
        "VERL_FILE_LOGGER_PATH": str(folder.metrics(attempt)),
        "TENSORBOARD_DIR": str(folder.tensorboard),
    }
    with folder.log(attempt).open("ab") as log:
        folder.add_event("driver_starting")
        driver = subprocess.Popen(
            [sys.executable, "-m", "medix_r1.training.driver", str(folder.root)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        return wait_for(driver)


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


def in_use() -> set[str]:
    """Objects in /dev/shm that a living process has mapped or open; another run's must not be touched."""
    used: set[str] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            used.update(file.path for file in process.memory_maps() if file.path.startswith(str(_SHARED_MEMORY)))
            used.update(file.path for file in process.open_files() if file.path.startswith(str(_SHARED_MEMORY)))
    return used


def remove_leftovers(before: set[Path], ray_folder: Path | None) -> None:
    """Remove what the run left in shared memory and in Ray's temporary folder."""
    leftovers = shared_memory_objects() - before
    used = in_use() if leftovers else set()
    for path in leftovers:
        if str(path) not in used:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                path.unlink()
    if ray_folder is not None:
        shutil.rmtree(ray_folder, ignore_errors=True)


def main() -> int:
    """`python -m medix_r1.training.supervisor RUN_DIR ATTEMPT RAY_FOLDER`, standard input held by the launcher."""
    folder, attempt, ray_folder = RunFolder(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the launcher decides, by closing the pipe
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(Stopped()))
    become_subreaper()
    before = shared_memory_objects()
    try:
        return supervise(folder, attempt)
    except ServerError as error:
        folder.add_event("error", message=str(error))
        return 1
    except Stopped:
        folder.add_event("stopped")
        return 1
    finally:
        end_descendants()
        remove_leftovers(before, Path(ray_folder) if ray_folder else None)


if __name__ == "__main__":
    sys.exit(main())
