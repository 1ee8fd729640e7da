"""Owns every process of a training run, so that none outlives it (medix_r1/processes.py says how).

`medix-r1 train` starts this as its only child. It starts the judge server and the driver side by side, watches both and
the command, and ends everything: judge, driver, Ray's and vLLM's daemons. What they leave in /dev/shm is removed last.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medix_r1 import processes
from medix_r1.errors import ServerError, TrainingError
from medix_r1.processes import Stopped
from medix_r1.runs.folder import RunFolder
from medix_r1.serving import server
from medix_r1.training.command.silence import SilenceWatch

_POLL = 0.5  # seconds


class JudgeServer:
    """The judge of this run: started at once, watched until it is healthy and after that."""

    def __init__(self, folder: RunFolder, settings: server.ServerSettings, log: Path) -> None:
        self._folder, self._settings, self._log = folder, settings, log
        self._started, self._ready, self._reported_dead = time.monotonic(), False, False
        folder.add_event("judge_starting", model=settings.served_name, address=settings.address)
        with log.open("ab") as file:
            self._process = server.start(settings, file)

    def check(self) -> None:
        """Report what has changed; raises `ServerError` when the judge does not come up."""
        seconds = time.monotonic() - self._started
        if not self._ready and server.is_ready(self._settings, self._process, self._log, seconds):
            self._ready = True
            self._folder.add_event("judge_ready", seconds=seconds)
        elif self._ready and self._process.poll() is not None and not self._reported_dead:
            self._reported_dead = True  # training waits for judge.client.patience, then stops with a checkpoint
            code = self._process.returncode
            self._folder.add_event("waiting", message=f"the judge server ended with code {code}; see {self._log}")


def supervise(folder: RunFolder, attempt: int) -> int:
    """Run judge and driver; returns the exit code of the run."""
    config: Mapping[str, Any] = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    judge = None
    if settings := config["judge"]["server"]:
        log = folder.log(attempt).with_suffix(".judge.log")
        judge = JudgeServer(folder, server.ServerSettings(**settings), log)
    driver = start_driver(folder, attempt)
    silence = SilenceWatch(folder, config["run"]["silence_limit"])
    while driver.poll() is None:
        if processes.launcher_is_gone(timeout=_POLL):
            raise Stopped
        silence.check()
        if judge is not None:
            judge.check()
    return driver.returncode


def start_driver(folder: RunFolder, attempt: int) -> subprocess.Popen[bytes]:
    """Start the process in which verl runs, its output in the attempt's log."""
    environment = {
        **os.environ,
        "VERL_FILE_LOGGER_PATH": str(folder.metrics(attempt)),
        "TENSORBOARD_DIR": str(folder.tensorboard),
    }
    folder.add_event("driver_starting")
    with folder.log(attempt).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "medix_r1.training.command.driver", str(folder.root)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def main() -> int:
    """`python -m medix_r1.training.command.supervisor RUN_DIR ATTEMPT SCRATCH`, standard input held by the launcher."""
    folder, attempt, scratch = RunFolder(Path(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3])
    with processes.keeper(scratch):
        try:
            return supervise(folder, attempt)
        except (ServerError, TrainingError) as error:
            folder.add_event("error", message=str(error), code=error.code)
        except Stopped:
            folder.add_event("stopped")
        return 1


if __name__ == "__main__":
    sys.exit(main())
