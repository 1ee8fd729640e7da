"""The other supported Python: on a clean clone `make unit` installs everything with it and runs the fast tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORTED = ("3.11", "3.12")
OTHERS = [version for version in SUPPORTED if version != f"{sys.version_info.major}.{sys.version_info.minor}"]

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]


def find(version: str) -> Path:
    """A Python of that version on this machine that can make environments, outside an environment; of pyenv's also one
    that its shims do not lead to.
    """
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    for folder in [*folders, *sorted(Path.home().glob(f".pyenv/versions/{version}*/bin"))]:
        python = folder / f"python{version}"
        if python.is_file() and not subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode:
            return python
    pytest.skip(f"no Python {version} with venv is on this machine")


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
    for words in (["--help"], ["--version"], ["list"]):
        subprocess.run([folder / ".venv/bin/medix-r1", *words], cwd=folder, check=True, capture_output=True)
    assert (folder / ".venv/lib" / f"python{version}" / "site-packages/verl").is_dir()
