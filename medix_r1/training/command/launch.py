"""`medix-r1 train`, from the composed config to the exit code: check, lock, resume, supervise, show.

The command itself stays small. Judge, verl, Ray and vLLM run under the supervisor, whose standard input is a pipe from
this process. However this process ends, the pipe closes, and the supervisor ends them all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from medix_r1 import user_code
from medix_r1.errors import TrainingError
from medix_r1.host.files import atomic_file
from medix_r1.runs import checkpoints, provenance, stacks
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command.plan import Plan
from medix_r1.training.command.progress import ProgressView

_RAY_START_KEYS = ("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "include_dashboard")
_END_TIMEOUT = 20.0  # seconds for the supervisor to end everything


def run(planned: Plan, view: ProgressView) -> int:
    """Train under a supervisor and show progress; returns the exit code.

    Raises:
        TrainingError: another run uses the folder, or the run failed.
    """
    folder = planned.folder
    folder.create()
    with _lock(folder) as lock:
        checkpoints.remove_torn(folder.checkpoints)
        attempt = folder.attempts + 1
        scratch = Path(
            tempfile.mkdtemp(prefix="medix-")
        )  # short, because Ray's socket paths below it have a length limit
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
                start_new_session=True,  # Ctrl-C reaches only this process, which then closes the pipe
                pass_fds=[lock],  # the supervisor holds the lock, too, until it has ended everything
                env=_environment(folder, scratch),
            )
        try:
            with sigterm_as_interrupt():
                return view.follow(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_TIMEOUT)


def _environment(folder: RunFolder, scratch: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", stacks.VARIABLE: str(folder.root)}
    environment["PYTHONSAFEPATH"] = "1"  # otherwise `python -m` imports a math.py of the current directory
    environment["TMPDIR"] = str(scratch)  # verl and vLLM leave sockets and lock files behind; they go with it
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each of a dozen processes compiles everything again
    return environment


def _write_config(planned: Plan, scratch: Path) -> None:
    plain = OmegaConf.to_container(planned.config, resolve=True)
    config = OmegaConf.create(
        user_code.changed(plain, lambda reference: user_code.keep(reference, planned.folder.code))
    )
    with open_dict(config):
        if planned.resume_from is not None:
            config.trainer.resume_mode = "resume_path"
            config.trainer.resume_from_path = str(planned.resume_from)
        set_ray_init(config.ray_kwargs.ray_init, scratch)
        config.run.dir = str(planned.folder.root)  # absolute: Ray's workers have other working directories
        config.trainer.default_local_dir = str(planned.folder.checkpoints)
        config.trainer.v1.sampler.sampler_kwargs.samples_dir = str(planned.folder.samples)
    with atomic_file(planned.folder.config) as temporary:
        OmegaConf.save(config, temporary)


def set_ray_init(ray_init: DictConfig, scratch: Path) -> None:
    """Set Ray's temporary folder, or for an existing cluster drop the keys that `ray.init` then refuses."""
    if ray_init.address is None:
        ray_init._temp_dir = str(scratch)
        return
    for key in _RAY_START_KEYS:
        ray_init.pop(key, None)


@contextlib.contextmanager
def _lock(folder: RunFolder) -> Iterator[int]:
    """Lock the run folder within the block.

    Raises:
        TrainingError: another run holds the lock.
    """
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"{folder.root} is in use by another run; wait for it, or take another run.dir", code="in-use"
            ) from None
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM (of `kill` or Slurm) as Ctrl-C within the block."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
