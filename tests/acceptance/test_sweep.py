"""A sweep of real runs, cut in its second run: the same command passes over the first and finishes the second."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from medix_r1.runs import provenance
from medix_r1.runs.folder import RunFolder
from medix_r1.runs.stacks import processes_of
from tests.e2e.conftest import medix, stub_overrides
from tests.support.judge_stub import JudgeStub

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

STEPS = 2
MIXES = ("composite", "embedding_only_watched")


@dataclass(frozen=True)
class Swept:
    """A sweep that was interrupted and then finished."""

    folder: Path
    cut: tuple[int, str]
    again: tuple[int, str]

    def run(self, mix: str) -> RunFolder:
        return RunFolder(self.folder / f"reward-{mix}")


@pytest.fixture(scope="module")
def swept(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("sweep")
    with JudgeStub() as judge:
        words = [*stub_overrides(demo, judge.address), f"trainer.total_training_steps={STEPS}", "trainer.save_freq=1"]
        words += ["trainer.test_freq=2", f"reward={','.join(MIXES)}", f"hydra.sweep.dir={folder}"]
        # the helper of other tests says test_freq=-1; Hydra takes the last word on a key
        cut = cut_in(RunFolder(folder / f"reward-{MIXES[1]}"), ["train", "-m", *words])
        return Swept(folder, cut, medix("train", "-m", *words, timeout=1800))


def cut_in(run: RunFolder, words: list[str]) -> tuple[int, str]:
    """Start a sweep and press Ctrl-C while this run of it is starting its processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    while process.poll() is None and len(processes_of(run)) < 3:
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert processes_of(run) == []
    return process.returncode, output


def test_a_cut_sweep_says_how_to_go_on(swept: Swept) -> None:
    code, output = swept.cut
    assert code == 1, output
    assert "stopped; " in output
    assert "Traceback" not in output


def test_the_same_command_does_what_is_missing(swept: Swept) -> None:
    code, output = swept.again
    assert code == 0, output
    assert f"reward-{MIXES[0]}  finished" in output
    assert f"reward-{MIXES[1]}  new" in output
    assert "2 of 2 runs finished" in output
    assert [swept.run(mix).attempts for mix in MIXES] == [1, 2]
    for mix in MIXES:
        assert {1, STEPS} <= swept.run(mix).metrics_by_step().keys()
        record = provenance.read(swept.run(mix))
        assert f"reward={mix}" in record["overrides"]
        assert {"versions", "code", "data"} <= record.keys()


def test_the_runs_compare_with_every_signal_in_each(swept: Swept, tmp_path: Path) -> None:
    code, output = medix("compare", str(swept.folder), "--out", str(tmp_path))
    assert code == 0, output
    lines = (tmp_path / "compare.md").read_text().splitlines()
    for mix in MIXES:
        row = next(line for line in lines if line.startswith(f"| reward={mix} "))
        assert "| - |" not in row
