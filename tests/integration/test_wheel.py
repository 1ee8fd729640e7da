"""The built wheel, installed into an empty environment, composes every experiment and unpacks the demo's models."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from medix_r1 import __version__
from medix_r1.demo.shipped import shipped_folder, unpack

ROOT = Path(__file__).parents[2]
COMPOSE = """
import sys
from medix_r1.config import compose_train, config_dir
names = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))
for name in names:
    assert compose_train([f"experiment={name}"]).run.name == name
assert "torch" not in sys.modules and "verl" not in sys.modules
print(config_dir(), *names)
"""


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the wheel, and not a checkout
    line = [str(part) for part in command]
    result = subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, env=clean)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).parent / "uv"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    run(uv, "venv", "--python", sys.executable, folder / "venv", cwd=folder)
    # The constraint keeps this to what is already in the cache; a user's own install takes what fits.
    constraint = ROOT / "requirements" / "override.txt"
    run(uv, "pip", "install", "--python", folder / "venv", "--constraint", constraint, wheel, cwd=folder)
    return folder / "venv"


def test_every_experiment_composes_from_an_empty_directory(environment: Path, tmp_path: Path) -> None:
    output = run(environment / "bin" / "python", "-c", COMPOSE, cwd=tmp_path)
    folder, *names = output.split()
    assert Path(folder).is_relative_to(environment)
    assert set(names) == {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}


def test_the_command_is_installed(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin" / "medix-r1"
    assert "train" in run(command, "--help", cwd=tmp_path)
    assert "nano_cpu" in run(command, "list", "experiment", cwd=tmp_path)
    assert run(command, "--version", cwd=tmp_path) == f"medix-r1 {__version__}\n"  # of no clone: no commit


def test_the_wheel_unpacks_the_models_and_has_no_kit(environment: Path, tmp_path: Path) -> None:
    (wheel,) = environment.parent.glob("*.whl")
    assert {name.split("/")[0].split("-")[0] for name in zipfile.ZipFile(wheel).namelist()} == {"medix_r1"}
    only = ("--only", "policy", "--only", "judge")
    run(environment / "bin" / "medix-r1", "demo", "build", "--out", tmp_path / "demo", *only, cwd=tmp_path)
    for model in ("policy", "judge"):
        unpack(shipped_folder(model), tmp_path / model)
        ours = {path.name: path.read_bytes() for path in (tmp_path / model).iterdir()}
        assert {path.name: path.read_bytes() for path in (tmp_path / "demo" / "models" / model).iterdir()} == ours


def test_the_source_distribution_has_the_kit(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.split("/", 1)[-1] for name in opened.getnames()}
    assert {"tools/__init__.py", "tools/nano/__main__.py", "tools/nano/judge/lexicon.yaml"} <= names
