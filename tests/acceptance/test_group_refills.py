"""`relative` where groups are refilled, resumed and continued over an update: DAPO, a second start, colocate_async."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub
from tests.support.rankings import SHOWN, opinion

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

PROMPTS, N = 8, 5
RELATIVE = [
    *["reward=relative", "embedder=remote", "embedder.model=stub-judge"],
    *["judge.client.patience=60", "embedder.patience=60", "run.stall_limit=200", "run.silence_limit=300"],
]
DAPO = ["algorithm=dapo", "algorithm.filter_groups.metric=exact", "run.max_refills=8", "trainer.save_freq=2"]
ASYNC = ["algorithm=grpo", "trainer=colocate_async", "trainer.total_training_steps=4", "trainer.save_freq=2"]


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeStub]:
    with JudgeStub(opinion) as server:
        yield server


def words(demo: Path, judge: JudgeStub, *more: str) -> list[str]:
    return [*stub_overrides(demo, judge.address), *RELATIVE, f"embedder.base_url={judge.address}", *more]


@pytest.fixture(scope="module")
def refilled(demo: Path, judge: JudgeStub, tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, int]:
    """Two steps of DAPO, then the same command with one more; and how many rankings were asked."""
    folder, before = tmp_path_factory.mktemp("refilled"), len(judge.calls)
    train(folder, words(demo, judge, *DAPO, "trainer.total_training_steps=2"))
    run = train(folder, words(demo, judge, *DAPO, "trainer.total_training_steps=3"))
    rankings = [
        call for call in judge.calls[before:] if SHOWN.search(call.get("messages", [{"content": ""}])[0]["content"])
    ]
    return run, len(rankings)


@pytest.fixture(scope="module")
def ahead(demo: Path, judge: JudgeStub, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Four steps whose prompts are generated ahead, the last two after a second start."""
    folder = tmp_path_factory.mktemp("ahead")
    train(folder, words(demo, judge, *ASYNC, "trainer.total_training_steps=2"))
    return train(folder, words(demo, judge, *ASYNC))


def groups(run: FinishedRun, step: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"):
        found[row["uid"]].append(row)
    return found


def places(rows: list[dict[str, Any]]) -> list[float]:
    return [row["parts"]["relative"] for row in rows]


def is_whole_and_ranked(rows: list[dict[str, Any]]) -> bool:
    """All its rollouts have a place; those of different answers cannot all have one place."""
    ranked = places(rows)
    return len(rows) == N and None not in ranked and not any(row["masked"] for row in rows)


def test_groups_that_are_filtered_and_refilled_are_ranked_whole(refilled: tuple[FinishedRun, int]) -> None:
    run, _ = refilled
    assert run.exit_code == 0, run.output[-3000:]
    assert run.folder.metrics_by_step()[1]["sampler/refilled_prompts"] > 0
    seen = [rows for step in (1, 2, 3) for rows in groups(run, step).values()]
    assert len(seen) > 3 * PROMPTS
    assert all(is_whole_and_ranked(rows) for rows in seen)
    trained = [rows for rows in seen if not rows[0]["filtered"]]
    assert len(trained) == 3 * PROMPTS
    assert all(len(set(places(rows))) > 1 for rows in trained)  # `exact` differs there, so answers do


def test_no_group_is_ranked_twice(refilled: tuple[FinishedRun, int]) -> None:
    run, rankings = refilled
    counted = sum(run.folder.metrics_by_step()[step]["reward/relative/calls"] for step in (1, 2, 3))
    assert 0 < counted <= rankings  # those in flight at the end of each start were asked and belong to no step


def test_a_second_start_goes_on_with_new_groups(refilled: tuple[FinishedRun, int]) -> None:
    run, _ = refilled
    assert run.first_step == 3
    names = [set(groups(run, step)) for step in (1, 2, 3)]
    assert not names[2] & (names[0] | names[1])


def test_replies_that_go_on_over_an_update_are_ranked_in_their_group(ahead: FinishedRun) -> None:
    assert ahead.exit_code == 0, ahead.output[-3000:]
    metrics = ahead.folder.metrics_by_step()
    assert max(metrics) == 4
    assert all(is_whole_and_ranked(rows) for step in metrics if step for rows in groups(ahead, step).values())
    assert all(len(groups(ahead, step)) == PROMPTS for step in metrics if step)
