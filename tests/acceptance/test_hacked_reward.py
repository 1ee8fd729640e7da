"""A reward that can be hacked sets an alarm off, which stops the run; the same run is asked for things from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder, read_lines
from tests.e2e.conftest import FinishedRun, medix

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

ALARM = "embed_leaves_llm"
# The embedder alone, with a bar that an answer of the right kind clears ("left" for "right"): easy to please without
# answering. The judge is asked too, for nothing but the record.
HACKABLE = [
    "reward.weights={llm: 0, embed: 1, format: 0, modality: 0}",
    "reward.signals.embed.threshold=0.25",
    "actor_rollout_ref.actor.optim.lr=5e-4",
]


@dataclass(frozen=True)
class Hacked:
    """A run that an alarm has ended."""

    run: FinishedRun
    watched: str  # what `report --watch` said


@pytest.fixture(scope="module")
def overrides(demo: Path) -> list[str]:
    return [
        "experiment=nano_cpu",
        f"demo_dir={demo}",
        "trainer.total_training_steps=30",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
        f"alarms.{ALARM}.window=3",  # as the run is short
        *HACKABLE,
    ]


@pytest.fixture(scope="module")
def hacked(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Hacked:
    folder = RunFolder(tmp_path_factory.mktemp("hacked"))
    command = [sys.executable, "-m", "medix_r1.cli"]
    process = subprocess.Popen(
        [*command, "train", *overrides, f"alarms.{ALARM}.action=stop", f"run.dir={folder.root}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    wait_for_step(folder, 1, process)
    (folder.root / "requests").mkdir(exist_ok=True)
    (folder.root / "requests" / ".stop.1").touch()  # what a request looks like before it is whole
    watching = subprocess.Popen(
        [*command, "report", str(folder.root), "--watch", "5"], stdout=subprocess.PIPE, text=True
    )
    for request in ("checkpoint", "validate"):
        assert medix("ask", str(folder.root), request)[0] == 0
    output, _ = process.communicate(timeout=1800)
    watched, _ = watching.communicate(timeout=60)
    return Hacked(FinishedRun(folder, process.returncode, output), watched)


def wait_for_step(folder: RunFolder, step: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and step not in folder.metrics_by_step():
        time.sleep(0.5)
    assert process.poll() is None, process.communicate()[0]


def events(folder: RunFolder, name: str) -> list[dict]:
    return [event for event in read_lines(folder.events) if event["event"] == name]


def test_the_alarm_stops_the_run_with_a_checkpoint(hacked: Hacked) -> None:
    folder = hacked.run.folder
    assert hacked.run.exit_code == 1, hacked.run.output
    (alarm,) = [event for event in events(folder, "alarm") if event["name"] == ALARM]
    assert alarm["message"] in hacked.run.output.replace("\n", " ")
    assert alarm["advice"] in " ".join(hacked.run.output.split())
    last = max(folder.metrics_by_step())
    assert alarm["step"] == last < 30
    newest = checkpoints.latest(folder.checkpoints)
    assert newest is not None
    assert checkpoints.step_of(newest) == last
    assert checkpoints.is_whole(newest)


def test_the_embedder_is_pleased_and_the_judge_is_not(hacked: Hacked) -> None:
    steps = hacked.run.folder.metrics_by_step()
    gaps = [steps[step]["reward/embed/mean"] - steps[step]["reward/llm/mean"] for step in sorted(steps) if step]
    assert sum(gaps[-3:]) / 3 - sum(gaps[:3]) / 3 > 0.15


def test_status_and_report_show_it(hacked: Hacked) -> None:
    code, status = medix("status", str(hacked.run.folder.root))
    assert code == 0
    assert "failed: alarm" in " ".join(status.split())
    assert status.count("alarm") > 1  # it rang, and it ended the run
    assert "written" in hacked.watched
    page = (hacked.run.folder.root / "report.html").read_text()
    assert f"<td>{ALARM}</td>" in page
    assert "loads itself again" not in page, "the last writing is of a run that has ended"


def test_what_was_asked_for_was_done(hacked: Hacked) -> None:
    folder = hacked.run.folder
    done = [event["request"] for event in events(folder, "asked")]
    assert sorted(done) == ["checkpoint", "validate"]
    steps = folder.metrics_by_step()
    validated = [step for step, metrics in steps.items() if "heldout/heldout_views/overall/mean" in metrics]
    assert len(validated) == 1
    assert 1 < validated[0] < max(steps)


@pytest.fixture(scope="module")
def resumed(hacked: Hacked, overrides: list[str]) -> FinishedRun:
    """The same run, its alarm now only warning, asked to stop after two more steps."""
    folder = hacked.run.folder
    last = max(folder.metrics_by_step())
    process = subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", "train", *overrides, f"run.dir={folder.root}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    wait_for_step(folder, last + 1, process)
    assert medix("ask", str(folder.root), "stop")[0] == 0
    output, _ = process.communicate(timeout=900)
    return FinishedRun(folder, process.returncode, output)


def test_asked_to_stop_it_ends_well_and_loses_nothing(hacked: Hacked, resumed: FinishedRun) -> None:
    assert resumed.exit_code == 0, resumed.output
    assert resumed.first_step > 1
    last = max(resumed.folder.metrics_by_step())
    assert last < 30
    newest = checkpoints.latest(resumed.folder.checkpoints)
    assert newest is not None
    assert checkpoints.step_of(newest) == last
    assert not list((resumed.folder.root / "requests").glob("[a-z]*"))
