"""`kill -9` of the command alone, then the same command: nothing is left over, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from medix_r1.training import checkpoint_folder, stacks
from medix_r1.training.run_folder import RunFolder, read_lines
from medix_r1.training.stacks import processes_of
from tests.e2e.conftest import KEY, STEPS, FinishedRun, start, train
from tests.support.leftovers import SHARED_MEMORY, Held
from tests.support.trained_weights import local, moved_share, shards

CLEAN_UP = 15.0  # seconds, as promised


@pytest.fixture(scope="module")
def overrides(nano_overrides: list[str]) -> list[str]:
    """Those of the uninterrupted run, without its validation: that has nothing to do with what is trained on."""
    return [*nano_overrides, "trainer.val_before_train=false"]


@pytest.fixture(scope="module")
def killed(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose command is killed at a random moment between two checkpoints, and looked at 15 s later."""
    folder = RunFolder(tmp_path_factory.mktemp("killed"))
    shared_memory = set(os.listdir(SHARED_MEMORY))
    process = start(folder.root, overrides)
    while not (checkpoint_folder.latest(folder.checkpoints) or process.poll() is not None):
        time.sleep(0.2)
    time.sleep(random.uniform(0.0, 4.0))
    held = Held(process.pid, folder, shared_memory)
    stacks.write_stacks(folder)
    assert len(held.family) > 5, "verl, Ray and vLLM should be running"
    assert held.ports
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(CLEAN_UP)
    assert held.left() == {}
    return folder


def test_every_process_says_where_it_is(killed: RunFolder) -> None:
    """Driver, trainer, actor, reward, vLLM's server and engine, and the judge's engine, while the run went on."""
    answers = {}
    for answer in killed.stacks.read_text(encoding="utf-8").split("\n=== ")[1:]:
        name, frames = answer.split("\n", 1)
        answers[name] = frames
    for name in ("medix_r1.training.driver", "ray::", "VLLM::EngineCore", "VLLM::Worker"):
        assert any(name in asked and "File" in frames for asked, frames in answers.items()), (name, list(answers))


def test_ctrl_c_ends_everything_with_one_line(nano_overrides: list[str], tmp_path: Path) -> None:
    process = start(tmp_path, nano_overrides, subprocess.PIPE)
    folder = RunFolder(tmp_path)
    while len(processes_of(folder)) < 3 and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopping" in output
    assert "Traceback" not in output
    assert processes_of(folder) == []


@pytest.fixture(scope="module")
def resumed(killed: RunFolder, overrides: list[str], demo: Path) -> FinishedRun:
    newest = checkpoint_folder.latest(killed.checkpoints)
    assert newest is not None
    assert moved_share(newest, demo / "models" / "policy") > 0.5  # otherwise weights not loaded would go unseen
    return train(killed.root, overrides, environment=KEY)


def rows(folder: RunFolder, step: int) -> list[tuple[str, str, float]]:
    lines = read_lines(folder.samples / "train" / f"{step:06d}.jsonl")
    return [(line["row_id"], line["reply"], line["overall"]) for line in lines]


def test_the_same_command_resumes(resumed: FinishedRun) -> None:
    assert resumed.exit_code == 0, resumed.output
    assert "resuming after step" in resumed.output


def test_the_same_rows_come_in_the_same_order(resumed: FinishedRun, run: FinishedRun) -> None:
    for step in range(1, STEPS + 1):
        ids = [row_id for row_id, _, _ in rows(run.folder, step)]
        assert [row_id for row_id, _, _ in rows(resumed.folder, step)] == ids


def test_the_same_replies_are_sampled(resumed: FinishedRun, run: FinishedRun) -> None:
    for step in range(1, STEPS + 1):
        assert rows(resumed.folder, step) == rows(run.folder, step)


def test_parameters_are_equal_bit_for_bit(resumed: FinishedRun, run: FinishedRun) -> None:
    first, second = (shards(finished.folder.checkpoints / f"global_step_{STEPS}") for finished in (resumed, run))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(local(tensor), local(second[name])), name
