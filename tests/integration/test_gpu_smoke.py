"""scripts/gpu_smoke.sh as far as a machine without a GPU can see: its plan, and that every command of it composes."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from medix_r1 import config as configs
from medix_r1.evaluation.settings import compose_eval
from medix_r1.training.preflight import checks
from tests.support.gpu import NANO_ON_GPU

ROOT = Path(__file__).parents[2]


def smoke(tmp_path: Path, mib: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script where a driver's tool reports one GPU of this size."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\necho "NVIDIA Test, {mib}, 580.1"\n')
    tool.chmod(0o755)
    return subprocess.run(
        [ROOT / "scripts/gpu_smoke.sh", *arguments],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def plan(tmp_path: Path, mib: int) -> dict[str, list[str]]:
    """The words of each command by the step's name; programs without their folder."""
    result = smoke(tmp_path, mib, "--dry-run", str(tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    lines = [line.partition(": ") for line in result.stdout.splitlines() if ": " in line and line[0] not in "=\n"]
    found = {name: shlex.split(command) for name, _, command in lines}
    return {name: [words[0].rpartition("/")[2], *words[1:]] for name, words in found.items()}


@pytest.fixture(params=[24564, 81920], ids=["LoRA", "all parameters"])
def commands(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, list[str]]:
    return plan(tmp_path, request.param)


def test_the_plan_is_printed_and_nothing_is_made(commands: dict[str, list[str]], tmp_path: Path) -> None:
    order = [
        "install",
        "install_images",
        "probe",
        "doctor",
        "demo_build",
        "gpu_tests",
        "check",
        "train",
        "merge",
        "eval",
    ]
    assert list(commands) == order
    assert not (tmp_path / "out").exists()
    assert not (ROOT / ".venv-gpu").exists()


def test_the_training_command_has_no_problem_but_parts_that_are_not_built(commands: dict[str, list[str]]) -> None:
    program, verb, *overrides = commands["train"]
    assert (program, verb) == ("medix-r1", "train")
    assert commands["check"][2:] == overrides
    config = configs.compose_train(overrides)
    found = [problem for problem in checks.problems(config) if "medix-r1 demo build" not in problem.text]
    assert {problem.code for problem in found} <= {"disk-too-small"}
    assert (config.trainer.total_training_steps, config.trainer.device) == (3, "cuda")
    assert config.actor_rollout_ref.model.path == "Qwen/Qwen3-VL-2B-Instruct"
    lora = config.actor_rollout_ref.model.lora_rank > 0
    # bf16 alone would round small updates away; adapters are fp32 in verl
    assert config.actor_rollout_ref.actor.fsdp_config.model_dtype == ("bf16" if lora else "fp32")


def test_offline_installs_from_the_folder_and_trains_the_given_model(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    words = ("--dry-run", "--offline", str(tmp_path / "wheels"), str(tmp_path / "model"), str(tmp_path / "out"))
    result = smoke(tmp_path, 24564, *words)
    assert result.returncode == 0, result.stderr
    lines = [line.partition(": ") for line in result.stdout.splitlines() if ": " in line and line[0] not in "=\n"]
    found = {name: shlex.split(command) for name, _, command in lines}
    assert list(found) == ["install", "probe", "demo_build", "gpu_tests", "check", "train", "merge"]
    assert "--no-index" in found["install"]
    assert f"actor_rollout_ref.model.path={tmp_path / 'model'}" in found["train"]
    # Neither the hub nor a compiled flash-attn is there.
    assert {"embedder=minilm", "+actor_rollout_ref.model.override_config.attn_implementation=sdpa"} <= {*found["train"]}
    trained_with = found["train"][found["train"].index("train") + 1 :]
    problems = [one for one in checks.problems(configs.compose_train(trained_with)) if "does not exist" not in one.text]
    assert {problem.code for problem in problems} <= {"disk-too-small"}


@pytest.mark.parametrize("words", [["--offline"], ["--offline", "/nowhere", "/model"], ["--ofline"]])
def test_wrong_options_are_refused(tmp_path: Path, words: list[str]) -> None:
    assert smoke(tmp_path, 24564, *words).returncode == 2


def test_a_large_gpu_trains_all_parameters(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert "lora=none" not in plan(tmp_path / "a", 24564)["train"]
    assert "lora=none" in plan(tmp_path / "b", 81920)["train"]


def test_the_other_commands_exist(commands: dict[str, list[str]]) -> None:
    from typer.testing import CliRunner

    from medix_r1.cli import app

    verbs = {"doctor": ["doctor"], "demo_build": ["demo", "build"], "merge": ["merge"], "eval": ["eval", "run"]}
    for step, verb in verbs.items():
        assert commands[step][0] == "medix-r1"
        help_text = CliRunner().invoke(app, [*verb, "--help"]).output
        assert all(word in help_text for word in commands[step] if word.startswith("--")), step
    assert commands["merge"][2].endswith("/run")


def test_the_evaluation_composes(commands: dict[str, list[str]]) -> None:
    words = [word for word in commands["eval"][2:] if "=" in word]
    assert commands["eval"][-2:] == ["--limit", "20"]
    config = compose_eval(words)
    assert list(config.tasks) == ["rad_vqa"]
    assert config.judge.server.model.endswith("/demo/models/judge")


TOOLS = """#!/usr/bin/env bash
# Stands for the interpreter, and for all that installing gives: `train` resumes as the real one does.
case "$(basename "$0") $1 $2" in
"python3.11 --version "*) echo "Python 3.11.2" ;;
"python3.11 -m venv") mkdir -p "$3/bin" && for tool in pip uv python medix-r1; do cp "$0" "$3/bin/$tool"; done ;;
"medix-r1 train "*)
    for word in "$@"; do [[ $word == run.dir=* ]] && run=${word#run.dir=}; done
    mkdir "$run" 2>/dev/null && echo "trained three steps" || echo "nothing is left to do"
    ;;
esac
"""


def call(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The whole script in a repository of its own, with `TOOLS` for what it installs."""
    scripts = tmp_path / "repository" / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    for script in ("gpu_smoke.sh", "find_python.sh"):
        shutil.copy(ROOT / "scripts" / script, scripts)
    for name, text in {"python3.11": TOOLS, "nvidia-smi": '#!/bin/sh\necho "NVIDIA Test, 24564, 580.1"\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return subprocess.run(
        [scripts / "gpu_smoke.sh", *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_call_trains_again(tmp_path: Path) -> None:
    out = tmp_path / "repository/outputs/gpu_smoke"
    for _ in range(2):
        result = call(tmp_path)
        assert result.returncode == 0, result.stderr
        assert (out / "train.log").read_text() == "trained three steps\n"
        assert "| train | passed |" in (out / "report.md").read_text()


def test_a_folder_with_things_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine/run").mkdir(parents=True)
    result = call(tmp_path, str(tmp_path / "mine"))
    assert (result.returncode, list((tmp_path / "mine").iterdir())) == (2, [tmp_path / "mine/run"])
    assert "is not empty and has no report of this script" in result.stderr


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    result = subprocess.run(
        ["/bin/bash", ROOT / "scripts/gpu_smoke.sh"],
        env={"PATH": os.environ["PATH"].replace(str(tmp_path), "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert "nvidia-smi" in result.stderr


def test_the_nano_run_of_the_gpu_tests_composes(tmp_path: Path) -> None:
    config = configs.compose_train(
        ["experiment=nano_cpu", "judge=remote", "judge.client.base_url=http://h/v1", *NANO_ON_GPU]
    )
    assert (config.trainer.device, config.trainer.n_gpus_per_node) == ("cuda", 1)
    assert "VERL_PLATFORM" not in config.ray_kwargs.ray_init.runtime_env.env_vars
    assert config.actor_rollout_ref.rollout.free_cache_engine
