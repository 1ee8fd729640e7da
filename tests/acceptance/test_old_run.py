"""A run that commit 795c22a began goes on: its config names modules where they were, its checkpoint holds old records.

The run is begun by today's code and then put into that commit's shape (tests/support/old_run.py): checkpoints are too
large to be kept here, and tests/integration/test_old_checkpoint.py knows what is in them. It generates ahead, so that
its checkpoint holds replies that the old code had scored and not trained on.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.schema.moved_names import moved
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub
from tests.support.old_run import age, unpack
from tests.support.pickles import pickled_names

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

STEPS = 4
OVERRIDES = [
    *("algorithm=grpo", "trainer=colocate_async", "trainer.save_freq=1", "run.keep_checkpoints=null"),
    f"trainer.total_training_steps={STEPS}",
]


@dataclass(frozen=True)
class Resumed:
    """The run after its resume, the step that it went on from, and the prompts whose records were old."""

    run: FinishedRun
    after: int
    prompts: set[str]
    named: int  # names in the config that were old


def prompts_of(folder: RunFolder, step: int) -> set[str]:
    return {row["uid"] for row in read_lines(folder.samples / "train" / f"{step:06d}.jsonl")}


def held(checkpoint: Path) -> int:
    """Bytes of rollouts in a checkpoint: of those trained on, which every one has, and of those that wait."""
    return sum(file.stat().st_size for file in checkpoint.glob("transfer_queue/simple_storage/*.pkl"))


@pytest.fixture(scope="module")
def resumed(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    with JudgeStub() as server:
        overrides = [*stub_overrides(demo, server.address), *OVERRIDES]
        begun = train(tmp_path_factory.mktemp("old"), overrides)
        assert begun.exit_code == 0, begun.output
        # How much is waiting differs from step to step; go on from where it was most.
        *early, _ = checkpoints.all_folders(begun.folder.checkpoints)
        newest = max(early, key=held)
        for folder in checkpoints.all_folders(begun.folder.checkpoints):
            if checkpoints.step_of(folder) > checkpoints.step_of(newest):
                shutil.rmtree(folder)
        after = checkpoints.step_of(newest)
        trained = set().union(*(prompts_of(begun.folder, step) for step in range(1, after + 1)))
        waiting = age(begun.folder) - trained
        named = len(list(moved(yaml.safe_load(begun.folder.config.read_text(encoding="utf-8")))))
        for step in range(after + 1, STEPS + 1):
            (begun.folder.samples / "train" / f"{step:06d}.jsonl").unlink()
        return Resumed(train(begun.folder.root, overrides), after, waiting, named)


def test_it_goes_on_with_todays_code(resumed: Resumed) -> None:
    assert resumed.named > 5
    assert resumed.run.exit_code == 0, resumed.run.output
    assert f"resuming after step {resumed.after}" in resumed.run.output
    assert "changed " not in resumed.run.output  # a moved name is no change
    assert "is now called" not in resumed.run.output  # nor one that the user could make
    assert list(moved(yaml.safe_load(resumed.run.folder.config.read_text(encoding="utf-8")))) == []


def test_replies_that_the_old_code_had_scored_are_trained_on(resumed: Resumed) -> None:
    assert resumed.prompts
    later = [prompts_of(resumed.run.folder, step) for step in range(resumed.after + 1, STEPS + 1)]
    assert all(later)
    assert resumed.prompts <= set().union(*later)


def test_metrics_are_called_what_they_were_called(resumed: Resumed, tmp_path: Path) -> None:
    """The recorded run is synchronous and validates; what those add is left out, as are names of modalities."""
    now = {name for line in read_lines(resumed.run.folder.metrics(2)) for name in line["data"]}
    *_, last = read_lines(unpack(tmp_path).metrics(1))
    before = set(last["data"])
    of_validations = ("heldout/", "selection/", "val-", "timing_s/testing")
    shared = {name for name in before if not name.startswith(of_validations) and "/by_modality/" not in name}
    assert sorted(shared - now) == []


def test_its_checkpoints_name_no_module_of_ours(resumed: Resumed) -> None:
    newest = checkpoints.latest(resumed.run.folder.checkpoints)
    assert newest is not None
    files = [file for file in newest.rglob("*") if file.suffix in (".pt", ".pkl")]
    assert {file.parent.name for file in files} == {"actor", newest.name, "transfer_queue", "simple_storage"}
    for file in files:
        assert not [name for name in pickled_names(file) if name.startswith("medix_r1")], file
