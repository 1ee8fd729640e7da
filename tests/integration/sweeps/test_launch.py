"""A sweep from the command line to its summary, with the launchers of Hydra and submitit; its runs leave recordings."""

import functools
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from rich.console import Console

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.runs import sweep_record
from medix_r1.sweeps import launch
from medix_r1.training.preflight import checks
from tests.integration.sweeps.recorded import RecordingTask, leave_run
from tests.support.problems import codes

ROOT = Path(__file__).parents[3]
FIXED = ["experiment=nano_cpu", "trainer.total_training_steps=2", "judge.server.port=8311"]


@functools.cache
def composed(overrides: tuple[str, ...]) -> configs.Composed:
    return COMPOSE(overrides)


COMPOSE = configs.composed_train


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Runs a sweep of two seeds, each run 2 steps long, whose parts need not be there; returns exit code and output."""
    monkeypatch.setattr(checks, "problems_of", lambda composed: [])
    monkeypatch.setattr(configs, "composed_train", lambda overrides, dirs, free_port: composed(tuple(overrides)))
    monkeypatch.chdir(tmp_path)  # folders are relative, so that each run is composed once for all tests
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # submitit's jobs find the tasks of these tests

    def run(*more: str, task: RecordingTask | None = None, dry_run: bool = False) -> tuple[int, str]:
        monkeypatch.setattr(launch, "TrainTask", lambda config_dirs: task or RecordingTask())
        output = io.StringIO()
        console = Console(file=output, width=500)
        code = launch.train_all([*FIXED, "run.seed=1,2", "hydra.sweep.dir=sweep", *more], [], console, dry_run=dry_run)
        return code, output.getvalue()

    return run


def events(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]


def test_one_failing_run_ends_neither_the_sweep_nor_hides(sweep, tmp_path):
    code, output = sweep(task=RecordingTask(breaks="seed-1"))

    assert code == 1
    assert "1 of 2 runs finished" in output
    assert "seed-1  failed: the judge is gone" in output
    assert events(tmp_path / "sweep" / "seed-2") == ["started", "finished"]


def test_the_same_command_does_what_is_left(sweep, tmp_path):
    sweep(task=RecordingTask(breaks="seed-1"))
    code, output = sweep()

    assert code == 0
    assert "   1  seed-1  resumes " in output
    assert "   2  seed-2  finished" in output
    assert "2 of 2 runs finished" in output
    assert events(tmp_path / "sweep" / "seed-1") == ["started", "error", "started", "finished"]
    assert events(tmp_path / "sweep" / "seed-2") == ["started", "finished"]  # not started again

    code, output = sweep()
    assert (code, events(tmp_path / "sweep" / "seed-1")[-1]) == (0, "finished")
    assert "2 finished" in output


def test_submitit_runs_each_in_a_process_of_its_own(sweep, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    code, output = sweep("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=2")

    assert code == 0, output
    assert events(tmp_path / "sweep" / "seed-1") == ["started", "finished"]
    assert len(list((tmp_path / "sweep" / ".submitit").glob("*/*_result.pkl"))) == 2


def test_a_launcher_that_loses_a_job_leaves_the_rest_and_says_so(sweep, monkeypatch):
    class Losing(BasicLauncher):
        def launch(self, job_overrides, initial_job_idx):
            if initial_job_idx == 0:
                raise UncompletedJobError("Job 17 was cancelled")
            return super().launch(job_overrides, initial_job_idx)

    monkeypatch.setattr(Plugins.instance(), "instantiate_launcher", lambda *given: started(Losing(), *given))
    code, output = sweep("hydra.sweeper.max_batch_size=1")

    assert code == 1
    assert "UncompletedJobError Job 17 was cancelled" in output
    assert "1 of 2 runs finished" in output
    assert "seed-1  did not " in output


class UncompletedJobError(Exception):
    """As submitit's own."""


def started(launcher: BasicLauncher, context, task, config) -> BasicLauncher:
    launcher.setup(hydra_context=context, task_function=task, config=config)
    return launcher


def test_a_dry_run_lists_everything_and_writes_nothing(sweep, tmp_path):
    code, output = sweep(dry_run=True)

    assert code == 0
    assert "run.dir='sweep/seed-2'" in output
    assert "2 runs in" in output
    assert not (tmp_path / "sweep").exists()


def test_all_problems_of_all_runs_come_before_the_first_starts(sweep, monkeypatch, tmp_path):
    shared, own = Problem("a", "shared", "x"), Problem("b", "own", "y")
    by_seed = {1: [shared], 2: [shared, own]}
    monkeypatch.setattr(checks, "problems_of", lambda composed: by_seed[composed.config.run.seed])

    with pytest.raises(ConfigError) as caught:
        sweep()

    assert list(map(str, caught.value.problems)) == ["a: x (all 2 runs)", "b: y (in seed-2)"]
    assert not (tmp_path / "sweep").exists()


def test_a_run_of_another_config_is_not_taken_for_done(sweep):
    leave_run(composed((*FIXED, "run.seed=7", "run.dir=sweep/seed-1", "run.name=nano_cpu__seed-1")).config, steps=2)

    with pytest.raises(ConfigError) as caught:
        sweep()
    assert ("run.seed", "not-safe-to-change") in codes(caught.value)
    assert str(caught.value).endswith("(in seed-1)")


def test_a_second_command_adds_its_runs_to_the_record(sweep, tmp_path):
    sweep()
    sweep("run.seed=2,3")

    assert list(sweep_record.read(tmp_path / "sweep")) == ["seed-1", "seed-2", "seed-3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_child_in_its_own_way_first(tmp_path, number):
    child = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n"
        "    time.sleep(0.5); pathlib.Path(sys.argv[1], 'ended').touch(); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[1], 'started').touch(); time.sleep(60)\n"
    )
    parent = (
        "import signal, sys\n"
        "from medix_r1.sweeps.task import run_child\n"
        "from medix_r1.training.command.launch import sigterm_as_interrupt\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with sigterm_as_interrupt():\n"
        f"    run_child([sys.executable, '-c', {child!r}, sys.argv[1]])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(number)

    _, errors = process.communicate(timeout=120)
    assert b"KeyboardInterrupt" in errors
    assert (tmp_path / "ended").exists()
