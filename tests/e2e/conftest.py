"""Real training runs, shared between tests: each start of verl costs about two minutes on two cores."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from medix_r1.runs import checkpoints, stacks
from medix_r1.runs.folder import RunFolder, read_lines
from tests.support import own_code
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.leftovers import SHARED_MEMORY, Held

CANARY = "canary-5e1f-never-in-a-log"


@dataclass(frozen=True)
class FinishedRun:
    """A `medix-r1 train` that has ended."""

    folder: RunFolder
    exit_code: int
    output: str

    @property
    def first_step(self) -> int:
        """The step with which the newest attempt began."""
        return [int(event["first_step"]) for event in read_lines(self.folder.events) if event["event"] == "started"][-1]

    @property
    def error_code(self) -> str | None:
        """The code of the error that ended the newest attempt."""
        newest = list(read_lines(self.folder.events))[-1]
        return str(newest["code"]) if newest["event"] == "error" else None


def medix(*arguments: str, timeout: float = 600.0, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the command as a user does; returns its exit code and what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "medix_r1.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return result.returncode, result.stdout


def train(folder: Path, overrides: Sequence[str], **keywords: object) -> FinishedRun:
    """Run `medix-r1 train` to its end; of a run that hung, the output ends with where each process was."""
    code, output = medix("train", *overrides, f"run.dir={folder}", **keywords)  # type: ignore[arg-type]
    run = RunFolder(folder)
    if code and "the run is stuck" in output:
        output += run.stacks.read_text(encoding="utf-8")
    return FinishedRun(run, code, output)


def start(folder: Path, overrides: Sequence[str], output: int | IO[str] = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start `medix-r1 train`, for a test that ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", "train", *overrides, f"run.dir={folder}"],
        stdout=output,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **KEY},
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's data and models, from the shipped weights."""
    from medix_r1.demo.build import build

    folder = tmp_path_factory.mktemp("demo")
    build(folder)
    return folder


STEPS = 4
KILLED_AFTER, GOES_ON_AFTER = 3, 1  # steps: those between are trained twice, with the kill between
CLEAN_UP = 15.0  # seconds, as promised
KEY = {"MEDIX_TEST_KEY": CANARY}
NO_WARM_UP = "actor_rollout_ref.actor.optim.lr_warmup_steps=0"  # with one, the first update has a rate of 0


@pytest.fixture(scope="session")
def nano_overrides(demo: Path) -> list[str]:
    """The nano experiment with every part real and a small batch: 8 questions x 5 rollouts.

    Estimator and a monitor are a user's own, in a file; the estimator computes what GRPO does.
    """
    return [
        "experiment=nano_cpu",
        f"demo_dir={demo}",
        "judge.client.api_key_env=MEDIX_TEST_KEY",
        "data.train_batch_size=8",
        f"trainer.total_training_steps={STEPS}",
        *["run.stall_limit=200", "run.silence_limit=300"],  # a run that hangs says where before `medix` gives up
        "trainer.test_freq=-1",
        "trainer.save_freq=1",
        "run.keep_checkpoints=null",
        NO_WARM_UP,
        *[f"run.plugins=[{own_code.__file__}]", "algorithm.adv_estimator=own_grpo"],
        *[f"+reward.signals.words._target_={own_code.__file__}:Words", "+reward.signals.words.most=2"],
    ]


@dataclass(frozen=True)
class KilledRun:
    """A run whose command was killed after some steps, and put back to an earlier one.

    `before` holds its checkpoints and samples as they were when it was killed: of those behind the step to which it was
    put back, what a run that goes on must make again.
    """

    folder: RunFolder
    before: RunFolder
    output: str


@pytest.fixture(scope="session")
def killed(nano_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> KilledRun:
    """`kill -9` of the command alone at a random moment after a checkpoint, and a look at what is left 15 s later."""
    folder, before = RunFolder(tmp_path_factory.mktemp("run")), RunFolder(tmp_path_factory.mktemp("before"))
    shared_memory, printed = set(os.listdir(SHARED_MEMORY)), before.root / "printed.txt"
    with printed.open("w", encoding="utf-8") as file:
        process = start(folder.root, nano_overrides, file)
    while process.poll() is None and not checkpoints.is_whole(folder.checkpoints / f"global_step_{KILLED_AFTER}"):
        time.sleep(0.2)
    time.sleep(random.uniform(0.0, 2.0))  # less than a step
    held = Held(process.pid, folder, shared_memory)
    stacks.write_stacks(folder)
    output = printed.read_text(encoding="utf-8")
    assert len(held.family) > 5, f"verl, Ray and vLLM should be running\n{output}"
    assert held.ports
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(CLEAN_UP)
    assert held.left() == {}
    shutil.copytree(folder.checkpoints, before.checkpoints)
    shutil.copytree(folder.samples, before.samples)
    for checkpoint in checkpoints.all_folders(folder.checkpoints):
        if checkpoints.step_of(checkpoint) > GOES_ON_AFTER:
            shutil.rmtree(checkpoint)
    return KilledRun(folder, before, output)


@pytest.fixture(scope="session")
def run(killed: KilledRun, nano_overrides: list[str]) -> FinishedRun:
    """The killed run, gone on to its end; shared by everything that looks at a finished run.

    It has validated before its first step, which takes its time, and does not do so again.
    """
    ended = train(killed.folder.root, [*nano_overrides, "trainer.val_before_train=false"], environment=KEY)
    return FinishedRun(ended.folder, ended.exit_code, killed.output + ended.output)


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with JudgeStub() as server:
        yield server


def stub_overrides(demo: Path, address: str) -> list[str]:
    """The nano experiment with a judge on loopback that we command."""
    return [
        "experiment=nano_cpu",
        f"demo_dir={demo}",
        "judge=remote",
        f"judge.client.base_url={address}",
        f"judge.client.model={MODEL}",
        "judge.client.prompt=match_short",
        "data.train_batch_size=8",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        NO_WARM_UP,
    ]
