"""A run that writes nothing is stuck, and says where; real processes, real signals."""

import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from medix_r1.cli import app
from medix_r1.errors import TrainingError
from medix_r1.runs import stacks
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command import silence
from medix_r1.training.command.silence import SilenceWatch
from tests.support.problems import coded

WAITS = """
import sys, time
from medix_r1.runs import stacks
if sys.argv[1] == "answers":
    stacks.register()
    stacks.register()  # verl imports the plug-in twice
def waits_for_ever():
    print("ready", flush=True)
    time.sleep(60)
waits_for_ever()
"""


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    made.create()
    return made


@pytest.fixture
def process(folder, monkeypatch):
    started = []

    def start(how: str, run: str):
        monkeypatch.setenv(stacks.VARIABLE, run)
        child = subprocess.Popen([sys.executable, "-c", WAITS, how], stdout=subprocess.PIPE, text=True)
        monkeypatch.delenv(stacks.VARIABLE)
        assert child.stdout.readline() == "ready\n"
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wait(watch, seconds):
        for _ in range(seconds // 10):
            now[0] += 10
            watch.check()

    return wait


def test_a_stuck_process_writes_its_stack_and_lives_on(folder, process):
    child = process("answers", str(folder.root))

    (asked,) = stacks.write_stacks(folder)

    assert asked.startswith(sys.executable)
    written = folder.stacks.read_text(encoding="utf-8")
    assert f"(pid {child.pid})" in written
    assert "in waits_for_ever" in written
    assert child.poll() is None


def test_from_another_shell(folder, process, monkeypatch):
    process("answers", str(folder.root))
    folder.config.write_text("trainer: {total_training_steps: 4}", encoding="utf-8")
    monkeypatch.chdir(folder.root.parent)

    shown = CliRunner().invoke(app, ["status", folder.root.name, "--stacks"])

    assert f"stacks of 1 processes: stand in {folder.stacks}" in shown.output
    assert "in waits_for_ever" in folder.stacks.read_text(encoding="utf-8")


def test_whoever_would_die_of_the_signal_is_not_asked(folder, process):
    silent, other = process("is_silent", str(folder.root)), process("answers", str(folder.root / "another"))

    assert stacks.write_stacks(folder) == []

    time.sleep(0.2)
    assert (silent.poll(), other.poll()) == (None, None)


def test_outside_a_run_nothing_is_opened(monkeypatch, tmp_path):
    monkeypatch.setattr(stacks, "_dump_file", None)
    monkeypatch.delenv(stacks.VARIABLE, raising=False)
    stacks.register()
    monkeypatch.setenv(stacks.VARIABLE, str(tmp_path / "not here"))  # another node, without the shared folder
    stacks.register()
    assert stacks._dump_file is None


def test_silence_ends_the_run(folder, process, clock, monkeypatch):
    child = process("answers", str(folder.root))
    watch = SilenceWatch(folder, limit=100)
    clock(watch, 100)

    monkeypatch.setattr(silence, "_DUMP_TIME", 0.1)
    with pytest.raises(TrainingError, check=coded("run-silent", "100 s", folder.stacks)):
        clock(watch, 10)

    assert f"(pid {child.pid})" in folder.stacks.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "sign",
    [
        "events.jsonl",
        "metrics/attempt_001.jsonl",
        "samples/train/{:06d}.jsonl",
        "checkpoints/global_step_1/actor/model.pt",
    ],
)
def test_whatever_a_run_writes_is_a_sign_of_life(folder, clock, sign):
    watch = SilenceWatch(folder, limit=100)
    for step in range(4):
        clock(watch, 90)
        path = folder.root / sign.format(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("more\n")
    clock(watch, 90)


def test_the_log_is_none(folder, clock):
    watch = SilenceWatch(folder, limit=100)
    clock(watch, 60)
    folder.log(1).write_text("No available shared memory broadcast block found in 60 seconds\n", encoding="utf-8")
    with pytest.raises(TrainingError):
        clock(watch, 60)


def test_a_supervisor_that_was_stopped_begins_anew(folder, clock, monkeypatch):
    watch = SilenceWatch(folder, limit=100)
    now = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: now)
    watch.check()
