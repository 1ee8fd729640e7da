"""One worker of each kind is killed in mid-run: the run ends soon, says which one died, and resumes where it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder, read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

LIMIT = 90.0  # seconds from the kill to the end of the command, as promised
# kind -> how its process calls itself, and what the message calls it
KINDS = {
    "reward": ("ray::RewardLoopWorker", "reward worker 0 died"),
    "agent loop": ("ray::AgentLoopWorkerTQ", "agent-loop worker 0 died"),
    "vLLM": ("VLLM::EngineCore", "vLLM engine 0 died"),
    "FSDP": ("ray::WorkerDict", "FSDP worker 0 died"),
}


@dataclass(frozen=True)
class Killed:
    """An attempt of the run, one of whose workers was killed."""

    exit_code: int
    output: str
    seconds: float  # from the kill to the end
    left: list[str]  # processes that outlived the command
    resumed_after: int
    last_checkpoint: int


@dataclass(frozen=True)
class Story:
    attempts: dict[str, Killed]
    end: FinishedRun
    last_step: int


def start(folder: RunFolder, overrides: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", "train", *overrides, f"run.dir={folder.root}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def newest_step(folder: RunFolder) -> int:
    newest = checkpoints.latest(folder.checkpoints)
    return checkpoints.step_of(newest) if newest else 0


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def kill_one(folder: RunFolder, overrides: list[str], name: str) -> Killed:
    """Start, wait for a step of this attempt, kill the worker at some moment of the next one, wait for the end."""
    before, metrics = newest_step(folder), folder.metrics(folder.attempts + 1)
    process = start(folder, overrides)
    try:
        while process.poll() is None and not list(read_lines(metrics)):
            time.sleep(0.2)
        time.sleep(random.uniform(0.0, 4.0))
        family = psutil.Process(process.pid).children(recursive=True)
        victims = [member for member in family if title(member).startswith(name)]
        assert victims, f"no process is called {name}: {sorted(map(title, family))}"
        victims[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        output, _ = process.communicate(timeout=600)
        seconds = time.monotonic() - killed_at
    finally:
        process.terminate()
        process.wait(60)
    left = [title(p) for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    print(f"{name}: {seconds:.1f} s\n{output}")
    return Killed(process.returncode, output, seconds, left, before, newest_step(folder))


@pytest.fixture(scope="module")
def story(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One run folder, four kills, each start resuming after the kill before, and at last two steps in peace."""
    folder = RunFolder(tmp_path_factory.mktemp("kills"))
    with JudgeStub() as server:
        overrides = [
            *stub_overrides(demo, server.address),
            "trainer.save_freq=1",
            "run.keep_checkpoints=2",
            f"judge.client.base_url={server.address}",
        ]
        attempts = {
            kind: kill_one(folder, [*overrides, "trainer.total_training_steps=100"], name)
            for kind, (name, _) in KINDS.items()
        }
        last_step = newest_step(folder) + 2
        end = train(folder.root, [*overrides, f"trainer.total_training_steps={last_step}"])
    return Story(attempts, end, last_step)


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_ends_soon_and_says_which_worker_died(story: Story, kind: str) -> None:
    attempt = story.attempts[kind]
    assert attempt.exit_code == 1
    assert KINDS[kind][1] in attempt.output
    assert attempt.seconds <= LIMIT


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outlives_the_run(story: Story, kind: str) -> None:
    assert story.attempts[kind].left == []


def test_no_step_is_trained_on_what_a_dead_worker_left(story: Story) -> None:
    """verl trains on the rollouts that came back, however few."""
    for step in range(1, story.last_step + 1):
        assert len(list(read_lines(story.end.folder.samples / "train" / f"{step:06d}.jsonl"))) == 8 * 5


def test_each_start_goes_on_after_the_last_checkpoint(story: Story) -> None:
    resumed = [attempt for attempt in story.attempts.values() if attempt.resumed_after]
    assert len(resumed) == len(KINDS) - 1
    for attempt in resumed:
        assert f" step {attempt.resumed_after};" in attempt.output
        assert attempt.last_checkpoint > attempt.resumed_after


def test_the_last_start_trains_to_the_end(story: Story) -> None:
    assert story.end.exit_code == 0, story.end.output
    missing = set(range(1, story.last_step + 1)) - set(story.end.folder.metrics_by_step())
    # verl writes a step's metrics after its checkpoint and the weight sync; who dies between them takes the line along
    assert missing <= {attempt.last_checkpoint for attempt in story.attempts.values()}
    assert os.path.isdir(story.end.folder.checkpoints / f"global_step_{story.last_step}")
