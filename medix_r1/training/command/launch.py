"""`medix-r1 train`, from the composed config to the exit code: check, lock, resume, supervise, show.

The command itself stays small. Judge, verl, Ray and vLLM run under the supervisor, whose standard input is a pipe that
this process holds: however this process ends, the pipe closes and they end too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, TrainingError
from medix_r1.runs import checkpoints, provenance, stacks
from medix_r1.runs.folder import RunFolder
from medix_r1.serving import server
from medix_r1.training.command import resume
from medix_r1.training.command.progress import ProgressView
from medix_r1.training.preflight import checks

_HOW_TO_START_RAY = ("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "include_dashboard")
_PATIENCE_AT_END = 20.0  # seconds the supervisor gets to end everything


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that may start: its config, its folder, and where it goes on."""

    config: DictConfig
    folder: RunFolder
    resume_from: Path | None
    differences: Sequence[resume.Difference]
    overrides: Sequence[str] = ()

    @property
    def first_step(self) -> int:
        return checkpoints.step_of(self.resume_from) + 1 if self.resume_from else 1

    @property
    def is_finished(self) -> bool:
        """By the newest checkpoint where the steps are counted, else by how the last attempt ended."""
        last = self.config.trainer.total_training_steps
        if last is not None:
            return self.first_step > last
        longer = any(difference.key == "trainer.total_epochs" for difference in self.differences)
        return self.resume_from is not None and not longer and self.folder.ended_by_itself


def plan(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Plan:
    """Compose, with a port for a judge that takes any free one, and check.

    Raises:
        ConfigError: with all problems.
    """
    config = configs.compose_train(overrides, config_dirs)
    if not configs.missing_keys(config) and config.judge.server is not None and config.judge.server.port == 0:
        config = configs.compose_train([*overrides, f"judge.server.port={server.free_port()}"], config_dirs)
    return plan_of(config, overrides)


def plan_of(config: DictConfig, overrides: Sequence[str] = ()) -> Plan:
    """Check what is composed; nothing is loaded and nothing is written.

    Raises:
        ConfigError: with all problems.
    """
    problems = checks.problems(config)
    if configs.missing_keys(config):
        raise ConfigError(problems)
    folder = RunFolder(Path(config.run.dir).absolute())
    newest = checkpoints.latest(folder.checkpoints)
    changed = resume.differences(folder.config, config) if newest and folder.config.exists() else []
    problems += resume.problems(folder, config, changed)
    if problems:
        raise ConfigError(problems)
    return Plan(config, folder, newest, changed, tuple(overrides))


def run(planned: Plan, view: ProgressView) -> int:
    """Train under a supervisor and show how it goes; returns the exit code."""
    folder = planned.folder
    folder.create()
    with _lock(folder) as lock:
        checkpoints.remove_torn(folder.checkpoints)
        attempt = folder.attempts + 1
        scratch = Path(tempfile.mkdtemp(prefix="medix-"))  # short: Ray puts sockets below it
        _write_config(planned, scratch)
        provenance.write(folder, planned.config, planned.overrides)
        folder.log(attempt).touch()
        folder.add_event("started", attempt=attempt, first_step=planned.first_step, log=str(folder.log(attempt)))
        view.start(planned, attempt)
        with folder.log(attempt).open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "medix_r1.training.command.supervisor",
                    str(folder.root),
                    str(attempt),
                    str(scratch),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then closes the pipe
                pass_fds=[lock],  # the folder stays locked until the supervisor has ended everything
                env=_environment(folder, scratch),
            )
        try:
            with sigterm_as_interrupt():
                return view.follow(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_AT_END)


def _environment(folder: RunFolder, scratch: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", stacks.VARIABLE: str(folder.root)}
    environment["TMPDIR"] = str(scratch)  # verl and vLLM leave sockets and lock files behind; they go with it
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each of a dozen processes compiles everything again
    return environment


def _write_config(planned: Plan, scratch: Path) -> None:
    config = planned.config.copy()
    with open_dict(config):
        if planned.resume_from is not None:
            config.trainer.resume_mode = "resume_path"
            config.trainer.resume_from_path = str(planned.resume_from)
        _settle_ray(config.ray_kwargs.ray_init, scratch)
        config.run.dir = str(planned.folder.root)  # absolute: Ray's workers have other working directories
        config.trainer.default_local_dir = str(planned.folder.checkpoints)
        config.trainer.v1.sampler.sampler_kwargs.samples_dir = str(planned.folder.samples)
    temporary = planned.folder.config.with_suffix(".tmp")
    OmegaConf.save(config, temporary)
    os.replace(temporary, planned.folder.config)


def _settle_ray(ray_init: DictConfig, scratch: Path) -> None:
    """Tell `ray.init` where to start Ray, or leave out how: it refuses that for a cluster which runs already."""
    if ray_init.address is None:
        ray_init._temp_dir = str(scratch)
        return
    for key in _HOW_TO_START_RAY:
        ray_init.pop(key, None)


@contextlib.contextmanager
def _lock(folder: RunFolder) -> Iterator[int]:
    """Hold the run folder; a second run on it is refused."""
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"{folder.root} is in use by another run; wait for it, or take another run.dir"
            ) from None
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let `kill` and Slurm end a run the way Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
