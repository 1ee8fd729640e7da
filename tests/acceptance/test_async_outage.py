"""colocate_async: a judge that is lost ends the run, and the same command goes on once a judge is back.

Groups that generate ahead finish in the outage too and are saved with the checkpoint; their failure is old by then.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

OVERRIDES = [
    *("algorithm=grpo", "trainer=colocate_async", "trainer.total_training_steps=4", "trainer.save_freq=-1"),
    "judge.client.patience=6",
]


def samples(run: FinishedRun, step: int) -> list[dict]:
    return list(read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"))


def trained(run: FinishedRun) -> set[str]:
    """Prompts of the steps after the loss."""
    return {row["uid"] for step in (3, 4) for row in samples(run, step)}


@pytest.fixture(scope="module")
def lost(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Two steps, then a judge that is gone."""
    folder = tmp_path_factory.mktemp("async")
    second = folder / "samples" / "train" / "000002.jsonl"
    with JudgeStub() as server:
        server.behave = lambda call: (503, {}, b"{}") if second.exists() else None
        return train(folder, [*stub_overrides(demo, server.address), *OVERRIDES])


@pytest.fixture(scope="module")
def unjudged(lost: FinishedRun) -> set[str]:
    """Prompts of the step that lost its judge; going on writes its file again."""
    return {row["uid"] for row in samples(lost, 3) if row["failure"]}


@pytest.fixture(scope="module")
def resumed(lost: FinishedRun, unjudged: set[str], demo: Path) -> FinishedRun:
    assert lost.exit_code == 1, lost.output
    with JudgeStub() as server:
        return train(lost.folder.root, [*stub_overrides(demo, server.address), *OVERRIDES])


def test_the_run_goes_on_where_the_judge_was_lost(resumed: FinishedRun) -> None:
    assert resumed.exit_code == 0, resumed.output
    assert resumed.first_step > 1
    assert {3, 4} <= resumed.folder.metrics_by_step().keys()


def test_nothing_of_the_outage_is_in_later_steps(resumed: FinishedRun) -> None:
    for step in (3, 4):
        assert samples(resumed, step)
        assert not any(row["masked"] for row in samples(resumed, step))


def test_groups_of_the_outage_were_saved_and_asked_again(unjudged: set[str], resumed: FinishedRun) -> None:
    assert unjudged & trained(resumed)  # not all of them: who finishes first is trained on first
