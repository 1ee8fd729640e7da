"""The GPU environment on a machine without a GPU, as on a login node: what does not train works there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.checkpoints.plain import config, save, state_of

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`medix-r1` in an environment of its own, with the CUDA builds of torch and vLLM."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if subprocess.run([folder / "bin/pip", "install", "-q", "-e", ".[gpu]"], cwd=ROOT, check=False).returncode:
        pytest.skip("the GPU extra cannot be installed here")
    return folder / "bin" / "medix-r1"


def run(program: Path, folder: Path, *words: object) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VERL_PLATFORM")}
    environment["COLUMNS"] = "400"  # so that no cell of a table is broken
    command = [str(program), *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_doctor_says_what_works(program: Path, tmp_path: Path) -> None:
    told = run(program, tmp_path, "doctor")
    assert "no GPU here: fine for preparing data, checking, merging" in told
    assert "install the other build" not in told


def test_check(program: Path, tmp_path: Path) -> None:
    run(program, tmp_path, "check", "experiment=medix_r1_8b_grpo", "judge=vllm", "placement=own_gpus", "--offline")


def test_merge_and_verify(program: Path, tmp_path: Path) -> None:
    save(tmp_path / "run", state_of(config()))
    assert "merged" in run(program, tmp_path, "merge", "run", "--out", "model", "--dtype", "bf16")
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_an_evaluation_is_planned(program: Path, tmp_path: Path) -> None:
    assert "slake_vqa" in run(program, tmp_path, "eval", "tasks")
