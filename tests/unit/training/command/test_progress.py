import io
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from medix_r1.errors import TrainingError
from medix_r1.host.log_tail import tail
from medix_r1.runs.folder import TRACEBACK, RunFolder
from medix_r1.runs.trend import step_line
from medix_r1.training.command import progress
from medix_r1.training.command.progress import ProgressView, heldout_lines
from medix_r1.training.command.resume import Difference
from tests.support.problems import coded

METRICS = {
    "reward/overall/mean": 0.51234,
    "reward/llm/mean": 0.25,
    "reward/embed/mean": 0.5,
    "reward/format/mean": 1.0,
    "reward/exact/mean": 0.1,
    "reward/masked_share": 0.0,
    "timing_s/step": 12.34,
}


def test_heldout_lines():
    metrics = METRICS | {
        "heldout/b/overall/mean": 0.5,
        "heldout/a/c/overall/mean": 0.25,
        "heldout/a/c/llm/mean": 1 / 3,
        "heldout/b/masked_share": 0.0,
        "val-core/b/overall/mean": 1.0,
    }

    assert heldout_lines(metrics) == ["held-out a/c: reward 0.250  llm 0.333", "held-out b: reward 0.500  "]
    assert heldout_lines(METRICS) == []
    lost = {"sampler/failed_validation_groups": 2.0}
    assert heldout_lines(METRICS | lost) == ["held-out: 2 questions lost a rollout; the log has the errors"]
    assert heldout_lines(METRICS | {"sampler/failed_validation_groups": 0.0}) == []


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    made.create()
    return made


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(progress, "_POLL", 0.01)


class View:
    """A view on a run folder that prints to a file."""

    def __init__(self, folder: RunFolder, *, total: int | None = 10, first_step: int = 1, differences=()) -> None:
        self.folder, self.out = folder, io.StringIO()
        self.view = ProgressView(Console(file=self.out, soft_wrap=True))
        trainer, run = SimpleNamespace(total_training_steps=total), SimpleNamespace(name="demo")
        plan: Any = SimpleNamespace(
            config=SimpleNamespace(trainer=trainer, run=run),
            folder=folder,
            first_step=first_step,
            resume_from=Path("global_step_1") if first_step > 1 else None,
            differences=differences,
        )
        self.view.start(plan, attempt=1)

    def metrics(self, step: int, **extra: float) -> None:
        with self.folder.metrics(1).open("a") as file:
            file.write(json.dumps({"step": step, "data": METRICS | extra}) + "\n")

    def follow(self, code: str = "") -> int:
        with subprocess.Popen([sys.executable, "-S", "-c", code]) as process:
            return self.view.follow(process)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.out.getvalue().splitlines() if line.strip()]


def test_a_run_as_plain_lines(folder):
    view = View(folder)
    folder.add_event("judge_starting", model="nano-judge", address="http://127.0.0.1:1")
    folder.add_event("judge_ready", seconds=41.6)
    folder.add_event("driver_starting")
    folder.add_event("something_new")
    view.metrics(1, **{"timing_s/step": 10.0})
    view.metrics(2, **{"timing_s/step": 30.0, "heldout/a/overall/mean": 0.5})

    assert view.follow() == 0

    text = view.out.getvalue()
    assert "\x1b" not in text
    assert view.lines[0] == f"demo from the start; log: {folder.log(1)}"
    assert "starting judge nano-judge at http://127.0.0.1:1" in view.lines
    assert [line for line in view.lines if line.endswith(" 42 s")]
    assert view.lines[3].startswith("starting Ray")
    steps = [line for line in view.lines if line.startswith("step ") and "/10" in line]
    assert steps[0] == f"step     1/10  {step_line([METRICS | {'timing_s/step': 10.0}])}  1 min 30 s left"
    assert steps[1].endswith("30.0 s  2 min 40 s left")  # the median of 10 and 30 s, 8 steps
    assert "step     2  held-out a: reward 0.500" in view.lines
    assert view.lines[-2] == "time: rest 100%"  # no phase was timed
    assert view.lines[-1] == "finished after step 2"


@pytest.mark.parametrize(
    ("seconds", "left"), [(1.0, "0 min 09 s left"), (13.3, "2 min 00 s left"), (6.63, "1 min 00 s left")]
)
def test_time_left_is_whole_minutes_and_seconds(folder, seconds, left):
    view = View(folder)
    view.metrics(1, **{"timing_s/step": seconds})
    view.follow()

    assert [line for line in view.lines if line.endswith(left)]


def test_without_an_end_there_is_no_time_left(folder):
    view = View(folder, total=None)
    view.metrics(1)
    view.follow()

    assert not [line for line in view.lines if "left" in line]
    assert [line for line in view.lines if line.startswith("step     1  reward 0.512")]


def test_a_resumed_run_says_so_and_shows_what_changed(folder):
    folder.add_event("error", message="of an earlier attempt")
    view = View(folder, first_step=6, differences=[Difference("run.x[0]", [1], [2])])
    view.follow()

    assert view.lines[0] == "changed run.x[0]: [1] -> [2]"
    assert view.lines[1].endswith(f" step 5; log: {folder.log(1)}")
    assert view.lines[-1] == "finished after step 5"


def test_a_record_without_a_reward_is_no_step(folder):
    view = View(folder)
    with folder.metrics(1).open("a") as file:
        file.write('{"step": 0, "data": {"heldout/a/overall/mean": 0.5}}\n')
    view.follow()

    assert "step     0  held-out a: reward 0.500" in view.lines
    assert view.lines[-1] == "finished after step 0"


def test_a_failure_shows_its_cause_and_the_end_of_the_log(folder):
    view = View(folder)
    folder.add_event("error", message="judge away [/red]")
    folder.log(1).write_text("".join(f"line {i}\n" for i in range(40)))

    with pytest.raises(TrainingError) as caught:
        view.follow("raise SystemExit(3)")

    assert str(caught.value) == f"judge away [/red]\n{tail(folder.log(1))}"
    assert str(caught.value).splitlines()[-15:] == [f"line {i}" for i in range(25, 40)]


def test_a_failure_shows_no_traceback(folder):
    """The driver marks where it begins; what Ray's processes say after it is about their end, not about the cause."""
    view = View(folder)
    folder.log(1).write_text(
        f"step 2\n33%|###  |{TRACEBACK}\nTraceback (most recent call last):\n  File …\nray: {{}}\n", encoding="utf-8"
    )
    folder.add_event("error", message="judge away")

    with pytest.raises(TrainingError) as caught:
        view.follow("exit(1)")

    assert str(caught.value) == f"judge away\n{tail(folder.log(1), before=TRACEBACK)}"
    assert str(caught.value).splitlines()[-2:] == ["step 2", "33%|###  |"]


def test_a_process_that_just_vanishes(folder):
    view = View(folder)

    with pytest.raises(TrainingError, check=coded("run-failed")):
        view.follow("import os; os._exit(9)")


def test_ctrl_c(folder, monkeypatch):
    view = View(folder)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert view.view.follow(process) == 1

    assert view.lines[-1].startswith("stopping")
