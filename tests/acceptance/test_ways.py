"""The fast tests pass whatever surrounds them: locale, time zone, user, cores, proxies, an old outputs/ folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


def hand_over(folder: Path, user: str, environment: Mapping[str, str]) -> None:
    """Give a folder to another user, who must be able to run this Python; otherwise skip the test."""
    if os.geteuid() != 0:
        pytest.skip("these tests run as another user than root already")
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user)
    look = [sys.executable, "-c", "import pytest, xdist, verl"]
    try:
        subprocess.run(look, check=True, user=user, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip(f"{sys.executable} or what it imports lies where other users may not read")


@pytest.fixture
def clone() -> Iterator[Path]:
    """Not below pytest's own folder, which other users may not read."""
    with tempfile.TemporaryDirectory(prefix="medix ways ") as folder:
        Path(folder).chmod(0o755)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), f"{folder}/a clone"], check=True)
        yield Path(folder, "a clone")


@pytest.mark.parametrize("name", WAYS)
def test_the_fast_tests_pass(name: str, clone: Path) -> None:
    way, options = WAYS[name], dict[str, Any]()
    path = os.pathsep.join([str(clone), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "HOME": str(clone.parent), **way.environment}
    way.in_clone(clone)
    if way.user:
        hand_over(clone.parent, way.user, environment)
        options = {"user": way.user, "group": pwd.getpwnam(way.user).pw_gid, "extra_groups": []}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/unit", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"],
        cwd=clone,
        env=environment,
        preexec_fn=way.in_process,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
