"""The fast tests pass whatever surrounds them: locale, time zone, user, cores, proxies, an old outputs/ folder."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"


def old_outputs(clone: Path) -> None:
    """What is left of a run that was never one."""
    for folder in ("nano_cpu/logs", "demo/models/policy", "sweeps"):
        (clone / "outputs" / folder).mkdir(parents=True)
    for file in ("nano_cpu/config.yaml", "nano_cpu/events.jsonl", "demo/models/policy/config.json"):
        (clone / "outputs" / file).write_text("no such content\n", encoding="utf-8")


def one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class Way:
    """How the tests are started."""

    environment: Mapping[str, str] = field(default_factory=dict)
    in_clone: Callable[[Path], None] = lambda clone: None
    in_process: Callable[[], None] | None = None
    user: str | None = None


WAYS = {
    "a path with a space": Way(),
    "an old outputs folder": Way(in_clone=old_outputs),
    "plain locale": Way({"LC_ALL": "C", "LANG": "C"}),
    "another time zone": Way({"TZ": "Asia/Kolkata"}),
    "one core": Way(in_process=one_core),
    "Ctrl-C ignored": Way(in_process=ignore_ctrl_c),
    "proxies, colours, keys": Way(
        {
            **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE),
            **{"FORCE_COLOR": "1", "COLUMNS": "40", "RAY_ADDRESS": "10.0.0.1:6379", "SLURM_JOB_ID": "1"},
            **dict.fromkeys(("WANDB_API_KEY", "HF_TOKEN", "OPENAI_API_KEY", "VLLM_API_KEY"), "not-a-key"),
        }
    ),
    "another user": Way(user="nobody"),
}


def as_user(user: str, command: list[str]) -> list[str]:
    """The command as another user, who sees this Python even where it lies in a folder that is closed to others.

    In a mount namespace of its own, an open folder with nothing but this Python lies over the closed one (`/root`).
    """
    group = str(pwd.getpwnam(user).pw_gid)
    command = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", *command]
    hidden = {prefix: closed for prefix in (sys.base_prefix, sys.prefix) if (closed := closed_to_others(Path(prefix)))}
    if not hidden:
        return command
    steps = ["set -e", "store=$(mktemp -d)", "mount -t tmpfs -o mode=755 tmpfs $store"]
    for number, prefix in enumerate(hidden):
        steps += [f"mkdir $store/{number}", f"mount --bind {shlex.quote(prefix)} $store/{number}"]
    steps += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(closed)}" for closed in set(hidden.values())]
    for number, prefix in enumerate(hidden):
        steps += [f"mkdir -p {shlex.quote(prefix)}", f"mount --bind $store/{number} {shlex.quote(prefix)}"]
    steps += ['cd "$PWD"', f"exec {shlex.join(command)}"]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(steps)]


def closed_to_others(path: Path) -> str | None:
    """The outermost folder above a path that others may not enter."""
    return next((str(one) for one in reversed(path.resolve().parents) if not one.stat().st_mode & stat.S_IXOTH), None)


def hand_over(folder: Path, user: str, environment: Mapping[str, str]) -> None:
    """Give a folder to another user, who must be able to run this Python; otherwise skip the test."""
    if os.geteuid() != 0:
        pytest.skip("these tests run as another user than root already")
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user)
    look = as_user(user, [sys.executable, "-c", "import os, pytest, xdist, verl; assert os.getuid()"])
    try:
        subprocess.run(look, check=True, cwd=folder, env=environment, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} of util-linux is missing")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{user} cannot run {sys.executable}: {error.stderr[-300:]}")


@pytest.fixture
def clone() -> Iterator[Path]:
    """Not below pytest's own folder, which other users may not read."""
    with tempfile.TemporaryDirectory(prefix="medix ways ") as folder:
        Path(folder).chmod(0o755)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), f"{folder}/a clone"], check=True)
        yield Path(folder, "a clone")


@pytest.mark.parametrize("name", WAYS)
def test_the_fast_tests_pass(name: str, clone: Path) -> None:
    way = WAYS[name]
    command = [sys.executable, "-m", "pytest", "tests/unit", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(clone), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "HOME": str(clone.parent), **way.environment}
    way.in_clone(clone)
    if way.user:
        hand_over(clone.parent, way.user, environment)
        command = as_user(way.user, command)
    done = subprocess.run(
        command,
        cwd=clone,
        env=environment,
        preexec_fn=way.in_process,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
