"""DAPO takes real steps: groups that do not differ in the filtered signal are generated anew, within limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub
from tests.support.trained_weights import moved_share

Behaviour = Callable[[int], tuple[int, dict[str, str], bytes] | None]

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]


def rows(run: FinishedRun, step: int) -> list[dict]:
    return list(read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"))


OVERRIDES = [
    "algorithm=dapo",
    "algorithm.filter_groups.metric=exact",
    "trainer.total_training_steps=6",
    "trainer.save_freq=-1",
    "judge.client.patience=6",
    "run.max_refills=8",  # batches of 8 prompts
]


def after(folder: Path, step: int, answer: tuple[int, dict[str, str], bytes]) -> Behaviour:
    """A judge that answers like this to everything once a step's samples are written."""
    return lambda call: answer if (folder / "samples" / "train" / f"{step:06d}.jsonl").exists() else None


@pytest.fixture(scope="module")
def dapo(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Two steps, then a judge that is gone."""
    folder = tmp_path_factory.mktemp("dapo")
    with JudgeStub() as server:
        server.behave = after(folder, 2, (503, {}, b"{}"))
        return train(folder, [*stub_overrides(demo, server.address), *OVERRIDES])


@pytest.fixture(scope="module")
def unjudged(dapo: FinishedRun, demo: Path) -> FinishedRun:
    """The same run again: a third step, then a judge that refuses every question."""
    folder = dapo.folder.root
    (folder / "samples" / "train" / "000003.jsonl").unlink()  # of the step that lost its judge
    with JudgeStub() as server:
        server.behave = after(folder, 3, (400, {}, b'{"error": {"message": "too long"}}'))
        return train(folder, [*stub_overrides(demo, server.address), *OVERRIDES])


def test_dapo_trains_on_groups_that_differ_in_the_filtered_signal(dapo: FinishedRun) -> None:
    for step in (1, 2):
        trained, filtered = (exact_by_group(dapo, step, filtered=filtered) for filtered in (False, True))
        assert len(trained) == 8
        assert all(len(values) > 1 for values in trained.values())
        assert all(len(values) == 1 for values in filtered.values())


def exact_by_group(run: FinishedRun, step: int, *, filtered: bool) -> dict[str, set[float]]:
    groups: dict[str, set[float]] = {}
    for row in rows(run, step):
        if bool(row["filtered"]) is filtered:
            groups.setdefault(row["uid"], set()).add(row["parts"]["exact"])
    return groups


def test_dapo_refills_are_counted(dapo: FinishedRun) -> None:
    assert dapo.folder.metrics_by_step()[1]["sampler/refilled_prompts"] > 0


def saved_steps(run: FinishedRun) -> list[int]:
    return [checkpoints.step_of(folder) for folder in checkpoints.all_folders(run.folder.checkpoints)]


def test_a_lost_judge_is_no_group_that_teaches_nothing(dapo: FinishedRun, demo: Path) -> None:
    """Filtered, such groups would be generated anew up to the limit, and the run would end without a checkpoint."""
    assert dapo.exit_code == 1
    assert "503" in dapo.output
    assert "generated anew" not in dapo.output
    assert saved_steps(dapo)[0] == 2  # the same run's next attempt adds to them
    assert moved_share(dapo.folder.checkpoints / "global_step_2", demo / "models" / "policy") > 0.5


def test_a_judge_that_refuses_everything_ends_the_run_at_the_refill_limit(unjudged: FinishedRun) -> None:
    assert unjudged.exit_code == 1
    assert (unjudged.first_step, unjudged.error_code) == (3, "refill-limit")
    assert "Traceback" not in unjudged.output
    assert saved_steps(unjudged) == [2, 3]
    refused = rows(unjudged, 4)
    assert refused
    assert all(row["masked"] for row in refused if row["failure"])
    assert any(row["failure"] for row in refused)
