"""Supervisor: owns all processes of a training run, so that none outlives it (medix_r1/host/processes.py says how).

It is the only child of `medix-r1 train`. It starts judge server and driver side by side, and watches both and the
command. At the end it ends all of them, Ray's and vLLM's daemons too, and removes what they leave in /dev/shm.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medix_r1.errors import ServerError, TrainingError
from medix_r1.host import processes
from medix_r1.host.processes import Stopped
from medix_r1.host.yaml_text import read_yaml
from medix_r1.runs.folder import RunFolder
from medix_r1.serving import server
from medix_r1.training.command.judge_server import JudgeServer
from medix_r1.training.command.silence import SilenceWatch

_POLL = 0.5  # seconds


def supervise(folder: RunFolder, attempt: int) -> int:
    """Run judge and driver; returns the driver's exit code.

    Raises:
        Stopped: the command has ended.
        ServerError: the judge did not become ready.
        TrainingError: the run hangs.
    """
    config: Mapping[str, Any] = read_yaml(folder.config)
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
    """Start the driver, the process in which verl runs; its output goes to the attempt's log."""
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
    """`python -m medix_r1.training.command.supervisor RUN_DIR ATTEMPT SCRATCH`, stdin: a pipe from the launcher."""
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
