"""`kill -9` of the command alone, then the same command: nothing is left over, and nothing is lost.

The killed run trained three steps and is put back to the first. The second and third, made again by another process
from the checkpoint, must come out as they did without an interruption.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.runs.stacks import processes_of
from tests.e2e.conftest import GOES_ON_AFTER, KILLED_AFTER, STEPS, FinishedRun, KilledRun, start
from tests.support.trained_weights import local, moved_share, shards

TWICE = range(GOES_ON_AFTER + 1, KILLED_AFTER + 1)


def rows(folder: RunFolder, step: int) -> list[tuple[str, str, float]]:
    lines = read_lines(folder.samples / "train" / f"{step:06d}.jsonl")
    return [(line["row_id"], line["reply"], line["overall"]) for line in lines]


def test_every_process_says_where_it_is(killed: KilledRun) -> None:
    """Driver, trainer, actor, reward, vLLM's server and engine, and the judge's engine, while the run went on."""
    answers = {}
    for answer in killed.folder.stacks.read_text(encoding="utf-8").split("\n=== ")[1:]:
        name, frames = answer.split("\n", 1)
        answers[name] = frames
    for name in ("medix_r1.training.command.driver", "ray::", "VLLM::EngineCore", "VLLM::Worker"):
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


def test_the_command_resumes_and_shows_what_differs(run: FinishedRun) -> None:
    assert run.exit_code == 0, run.output
    assert run.first_step == GOES_ON_AFTER + 1
    assert "trainer.val_before_train: True -> False" in run.output


def test_the_weights_it_resumed_from_had_been_trained(killed: KilledRun, demo: Path) -> None:
    """Otherwise weights that were not loaded would go unseen."""
    checkpoint = killed.before.checkpoints / f"global_step_{GOES_ON_AFTER}"
    assert moved_share(checkpoint, demo / "models" / "policy") > 0.5


@pytest.mark.parametrize("step", TWICE)
def test_the_same_rows_come_in_the_same_order(run: FinishedRun, killed: KilledRun, step: int) -> None:
    ids = [row_id for row_id, _, _ in rows(killed.before, step)]
    assert len(ids) == 40
    assert [row_id for row_id, _, _ in rows(run.folder, step)] == ids


def test_no_row_comes_twice_in_an_epoch(run: FinishedRun) -> None:
    questions = [{row_id for row_id, _, _ in rows(run.folder, step)} for step in range(1, STEPS + 1)]
    assert len(set.union(*questions)) == sum(map(len, questions))


@pytest.mark.parametrize("step", TWICE)
def test_the_same_replies_are_sampled(run: FinishedRun, killed: KilledRun, step: int) -> None:
    assert rows(run.folder, step) == rows(killed.before, step)


@pytest.mark.parametrize("step", TWICE)
def test_parameters_are_equal_bit_for_bit(run: FinishedRun, killed: KilledRun, step: int) -> None:
    again, before = (shards(folder.checkpoints / f"global_step_{step}") for folder in (run.folder, killed.before))
    assert again.keys() == before.keys()
    for name, tensor in again.items():
        assert torch.equal(local(tensor), local(before[name])), name
