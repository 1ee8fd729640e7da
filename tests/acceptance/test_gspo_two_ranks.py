"""GSPO on two FSDP ranks with a judge that fails and then stays down: real steps, masked samples, a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub
from tests.support.trackers import TRACKERS, has_every_part_at_every_step
from tests.support.trained_weights import moved_share

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

LAST_STEP_WITH_JUDGE = 2


@pytest.fixture(scope="module")
def gspo_with_a_failing_judge(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Two ranks; the judge refuses every third question, and goes down for good once step 2 is finished."""
    folder = tmp_path_factory.mktemp("gspo")
    overrides = [
        "algorithm=gspo",
        "hardware=cpu2",
        "trainer.total_training_steps=6",
        "trainer.save_freq=-1",
        "judge.client.patience=6",
    ]

    def behave(call: int) -> tuple[int, dict[str, str], bytes] | None:
        if (folder / "samples" / "train" / f"{LAST_STEP_WITH_JUDGE:06d}.jsonl").exists():
            return 503, {}, b"{}"
        return (400, {}, b'{"error": {"message": "too long"}}') if call % 3 == 0 else None

    with JudgeStub() as server:
        server.behave = behave
        return train(folder, [*stub_overrides(demo, server.address), *overrides])


def rows(run: FinishedRun, step: int) -> list[dict]:
    return list(read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"))


def test_refused_questions_are_masked_and_never_scored_zero(gspo_with_a_failing_judge: FinishedRun) -> None:
    run = gspo_with_a_failing_judge
    masked = [row for step in (1, 2) for row in rows(run, step) if row["masked"]]
    assert masked
    assert all(row["overall"] is None and row["parts"]["llm"] is None and row["failure"] for row in masked)
    for step in (1, 2):
        share = sum(row["masked"] for row in rows(run, step)) / len(rows(run, step))
        assert run.folder.metrics_by_step()[step]["reward/masked_share"] == pytest.approx(share)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_every_tracker_has_every_part_of_masked_samples_too(
    gspo_with_a_failing_judge: FinishedRun, tracker: str
) -> None:
    has_every_part_at_every_step(gspo_with_a_failing_judge.folder, tracker)


def test_both_ranks_train(gspo_with_a_failing_judge: FinishedRun, demo: Path) -> None:
    metrics = gspo_with_a_failing_judge.folder.metrics_by_step()
    assert all(metrics[step]["actor/grad_norm"] > 0 for step in (1, 2))
    checkpoint = gspo_with_a_failing_judge.folder.checkpoints / f"global_step_{LAST_STEP_WITH_JUDGE}"
    assert moved_share(checkpoint, demo / "models" / "policy") > 0.5


def test_a_judge_that_stays_down_stops_the_run_with_the_last_finished_step(
    gspo_with_a_failing_judge: FinishedRun,
) -> None:
    run = gspo_with_a_failing_judge
    assert run.exit_code == 1
    assert "judge" in run.output
    assert "Traceback" not in run.output
    folders = checkpoints.all_folders(run.folder.checkpoints)
    assert [checkpoints.step_of(folder) for folder in folders] == [LAST_STEP_WITH_JUDGE]
    assert checkpoints.is_whole(folders[0])
    assert len(list((folders[0] / "actor").glob("model_world_size_2_rank_*.pt"))) == 2
