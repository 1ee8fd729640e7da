"""DAPO takes real steps: groups that do not differ in the filtered signal are generated anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.training.run_folder import read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]


def rows(run: FinishedRun, step: int) -> list[dict]:
    return list(read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"))


@pytest.fixture(scope="module")
def dapo(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    overrides = ["algorithm=dapo", "algorithm.filter_groups.metric=exact", "trainer.total_training_steps=2"]
    with JudgeStub() as server:
        return train(tmp_path_factory.mktemp("dapo"), [*stub_overrides(demo, server.address), *overrides])


def test_dapo_trains_on_groups_that_differ_in_the_filtered_signal(dapo: FinishedRun) -> None:
    assert dapo.exit_code == 0, dapo.output
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
