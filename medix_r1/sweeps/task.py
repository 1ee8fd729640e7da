"""The task that a Hydra launcher runs for each run of a sweep: `medix-r1 train` as a child process.

Submitit pickles the task and runs it in another job, so it must not hold objects of the parent process.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from medix_r1.host.processes import end_with_parent

_PATIENCE = 60.0  # seconds that a run gets to stop its judge, Ray and vLLM


@dataclass(frozen=True, slots=True)
class TrainTask:
    """Starts a run; its outcome is in the run's folder."""

    config_dirs: tuple[str, ...] = ()

    def __call__(self, _: DictConfig) -> int:
        """Train with this job's overrides, and return the exit code."""
        return run_child(self.arguments(HydraConfig.get().overrides.task))

    def arguments(self, overrides: list[str]) -> list[str]:
        """The command of one run; `hydra.mode=RUN` overrides an experiment that sets MULTIRUN."""
        folders = [word for folder in self.config_dirs for word in ("--config-dir", folder)]
        return [sys.executable, "-m", "medix_r1.cli", "train", *folders, "--", "hydra.mode=RUN", *overrides]


def run_child(arguments: list[str]) -> int:
    """Run a command in its own session, so that the terminal's Ctrl-C reaches it only once, as our SIGTERM."""
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # Ctrl-C, or Slurm ends the job
            process.terminate()
            process.wait(_PATIENCE)
