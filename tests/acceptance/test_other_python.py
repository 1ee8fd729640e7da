"""The other Python that is supported: `make unit` installs everything with it on a clean clone and runs the fast tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORTED = ("3.11", "3.12")
OTHERS = [version for version in SUPPORTED if version != f"{sys.version_info.major}.{sys.version_info.minor}"]

pytestmark = pytest.mark.timeout(3600)


def find(version: str) -> str:
    """Path of a Python on this machine; nothing is downloaded."""
    uv = [sys.executable, "-m", "uv", "python", "find", "--offline", "--no-project", "--system", version]
    found = subprocess.run(uv, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"no Python {version} is on this machine")
    return found.stdout.strip()


@pytest.fixture(scope="module", params=OTHERS)
def clone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A clean clone of the last commit, the version, and what `make unit` printed there."""
    python, folder = find(request.param), tmp_path_factory.mktemp("other") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    made = subprocess.run(
        ["make", "unit", f"PYTHON={python}"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-20_000:]
    return folder, request.param, made.stdout


def test_the_fast_tests_pass(clone: tuple[Path, str, str]) -> None:
    _, version, printed = clone
    assert f"installing into .venv, with Python {version}." in printed
    assert " passed" in printed.splitlines()[-1]


def test_the_command_runs(clone: tuple[Path, str, str]) -> None:
    folder, version, _ = clone
    for words in (["--help"], ["--version"], ["train", "experiment=nano_cpu", "--dry-run"]):
        subprocess.run([folder / ".venv/bin/medix-r1", *words], cwd=folder, check=True, capture_output=True)
    assert (folder / ".venv/lib" / f"python{version}" / "site-packages/verl").is_dir()
