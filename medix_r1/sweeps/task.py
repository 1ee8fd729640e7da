"""What a launcher of Hydra does for one run of a sweep: `medix-r1 train` as a child process, until it has ended.

Submitit pickles the task and runs it in a job of its own, so nothing here may hold on to the command that was typed.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from medix_r1.processes import end_with_parent

_PATIENCE = 60.0  # seconds a run gets to end judge, Ray and vLLM


@dataclass(frozen=True, slots=True)
class TrainTask:
    """Starts a run; the run's own folder says how it went."""

    config_dirs: tuple[str, ...] = ()

    def __call__(self, _: DictConfig) -> int:
        """Train as this job's overrides say, and return the exit code."""
        return run_child(self.arguments(HydraConfig.get().overrides.task))

    def arguments(self, overrides: list[str]) -> list[str]:
        """The command of one run; `hydra.mode=RUN`, because its experiment may say that it is a sweep."""
        folders = [word for folder in self.config_dirs for word in ("--config-dir", folder)]
        return [sys.executable, "-m", "medix_r1.cli", "train", *folders, "--", "hydra.mode=RUN", *overrides]


def run_child(arguments: list[str]) -> int:
    """Run a command in a session of its own, so that Ctrl-C reaches it through us alone, and once."""
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # Ctrl-C, or a job that Slurm ends
            process.terminate()
            process.wait(_PATIENCE)
