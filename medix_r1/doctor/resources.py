"""Checks the machine's resources: devices, memory, disk, shared memory, temporary files, ports, a judge."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from medix_r1.doctor.finding import Finding, Judge
from medix_r1.errors import ConfigError, ServerError
from medix_r1.host.machine import GIB
from medix_r1.serving import server
from medix_r1.serving.probe import server_problems
from medix_r1.training.preflight.machine.hardware import SHARED_MEMORY
from medix_r1.training.preflight.machine.host_memory import RANK_MEMORY, RUN_MEMORY

_CURES = {
    "no-answer": "start one (medix-r1 serve), or mend the address",
    "wants-a-key": "--judge-key-env VARIABLE sends the key that is in it",
    "variable-not-set": "export it with the key",
    "serves-another-model": "--judge-model NAME",
    "question-not-answered": "look into the server's log",
}
_LONGEST_TEMP = 27  # bytes that Ray leaves for the temporary folder, of the 107 of a socket's path


def findings(gpus: Sequence[str], judge: Judge | None) -> list[Finding]:
    """Check everything but the packages."""
    machine = [_devices(gpus), _memory(gpus), _disk(Path.cwd()), _shared_memory(), _temporary(), _ports()]
    return [*machine, _judge(judge)]


def list_gpus() -> list[str]:
    """Name and memory of each NVIDIA GPU, from nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _devices(gpus: Sequence[str]) -> Finding:
    if gpus:
        return Finding("devices", "ok", "; ".join(gpus))
    return Finding("devices", "ok", "no GPU: the small models of experiment=nano_cpu train on the CPU")


def _memory(gpus: Sequence[str]) -> Finding:
    memory, needed = psutil.virtual_memory(), RUN_MEMORY + RANK_MEMORY
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB are available"
    if memory.available >= needed or gpus:
        return Finding("memory", "ok", found)
    if memory.total >= needed:
        return Finding("memory", "warn", found, f"a CPU run takes {needed / GIB:.0f} GiB: end other programs")
    return Finding("memory", "fail", found, f"a CPU run takes {needed / GIB:.0f} GiB: take a larger machine")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.0f} GiB are free here"
    if not os.access(folder, os.W_OK):
        return Finding("disk", "fail", f"{folder} cannot be written to", "go to a folder of yours, or set run.dir")
    if free < 5 * GIB:
        return Finding("disk", "fail" if free < GIB else "warn", found, "free some, or set run.dir to another disk")
    return Finding("disk", "ok", found)


def _shared_memory() -> Finding:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return Finding("/dev/shm", "warn", "not there", "training needs Linux")
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.1f} GiB are free"
    if free < SHARED_MEMORY:
        return Finding("/dev/shm", "fail", found, "docker: --shm-size=4g; else mount -o remount,size=4g /dev/shm")
    return Finding("/dev/shm", "ok", found)


def _temporary() -> Finding:
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryFile() as file:
            file.write(b"medix")
    except OSError as error:
        return Finding("temporary files", "fail", str(error), "set TMPDIR to a folder that can be written to")
    if len(os.fsencode(folder)) > _LONGEST_TEMP:
        fix = "Ray's sockets lie below it and their paths may have 107 bytes: set TMPDIR to a shorter one"
        return Finding("temporary files", "fail", folder, fix)
    return Finding("temporary files", "ok", f"{folder} can be written to")


def _ports() -> Finding:
    try:
        port = server.free_port()
    except OSError as error:
        return Finding("ports", "fail", f"none on loopback ({error})", "allow sockets on 127.0.0.1")
    return Finding("ports", "ok", f"free ones on loopback, such as {port}")


def _judge(judge: Judge | None) -> Finding:
    """Ask one question, as the run's own client would."""
    if judge is None:
        return Finding("judge", "ok", "not looked for; name one with --judge-url")
    client = {
        "_target_": "medix_r1.models.judge.ChatJudge",
        "base_url": judge.url,
        "model": judge.model or _first_model(judge),
        "api_key_env": judge.key_env,
    }
    try:
        found = next(server_problems(client, "judge.client", "judge", "; start one (medix-r1 serve)"), None)
    except ConfigError as error:
        found = error.problems[0]
    if found is None:
        return Finding("judge", "ok", f"{client['model']} at {judge.url} answers a question")
    cure = _CURES.get(found.code, "mend the address")
    return Finding("judge", "fail", found.text, cure)


def _first_model(judge: Judge) -> str:
    try:
        names = server.served_models(judge.url, timeout=5.0, api_key=os.environ.get(judge.key_env or ""))
    except ServerError:
        names = None  # the question tells more
    return names[0] if names else "default"
