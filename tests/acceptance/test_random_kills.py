"""One run, cut by `kill -9` and Ctrl-C at random moments: nothing is left over, and it goes on to its end."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder, read_lines
from tests.e2e.conftest import CLEAN_UP, KEY, FinishedRun, start, train
from tests.support.leftovers import SHARED_MEMORY, Held

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

STEPS = 20  # more than fit between the cuts
CUTS = [(signal.SIGKILL, False), (signal.SIGINT, True), (signal.SIGKILL, True)]  # and whether it trains by then
IN_START, IN_STEPS = 60.0, 20.0  # seconds from which a moment is drawn: of the start, after the first new checkpoint


def cut(folder: RunFolder, overrides: list[str], how: signal.Signals, training: bool) -> dict[str, object]:
    """Start the run, end the command at a random moment, and say what stood then and what was left 15 s later."""
    shared_memory = set(os.listdir(SHARED_MEMORY))
    process = start(folder.root, overrides)
    started, before = time.monotonic(), checkpoints.latest(folder.checkpoints)
    while training and checkpoints.latest(folder.checkpoints) == before and process.poll() is None:
        time.sleep(0.2)
    time.sleep(random.uniform(0.0, IN_STEPS) if training else random.uniform(2.0, IN_START))
    held = Held(process.pid, folder, shared_memory)
    process.send_signal(how)
    process.wait(60)
    time.sleep(CLEAN_UP)
    newest = checkpoints.latest(folder.checkpoints)
    return {
        "signal": how.name,
        "after": round(time.monotonic() - started - CLEAN_UP, 1),
        "processes": len(held.family),
        "ports": len(held.ports),
        "checkpoint": newest.name if newest else None,
        "left": held.left(),
    }


@pytest.fixture(scope="module")
def overrides(nano_overrides: list[str]) -> list[str]:
    return [*nano_overrides, f"trainer.total_training_steps={STEPS}", "run.keep_checkpoints=2"]


@pytest.fixture(scope="module")
def cuts(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[dict[str, object]]]:
    folder = RunFolder(tmp_path_factory.mktemp("cut"))
    return folder, [cut(folder, overrides, *one) for one in CUTS]


@pytest.fixture(scope="module")
def ended(cuts: tuple[RunFolder, list[dict[str, object]]], overrides: list[str]) -> FinishedRun:
    return train(cuts[0].root, overrides, environment=KEY)


def test_nothing_is_left_of_a_cut_run(cuts: tuple[RunFolder, list[dict[str, object]]]) -> None:
    print(*cuts[1], sep="\n")
    assert all(one["processes"] for one in cuts[1])
    assert [one["left"] for one in cuts[1]] == [{}] * len(CUTS)


def test_it_goes_on_to_its_end(ended: FinishedRun) -> None:
    assert ended.exit_code == 0, ended.output
    folders = checkpoints.all_folders(ended.folder.checkpoints)
    for step in range(1, STEPS + 1):
        rows = read_lines(ended.folder.samples / "train" / f"{step:06d}.jsonl")
        assert len({row["key"] for row in rows}) == 40
    assert folders
    assert all(checkpoints.is_whole(folder) for folder in folders)
    assert checkpoints.step_of(folders[-1]) == STEPS
