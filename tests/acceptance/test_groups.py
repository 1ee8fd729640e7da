"""Three steps of the nano policy with `relative`: one ranking a group, rollouts that fail, single replies validated."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from medix_r1.wording.spelling import normalize_answer
from tests.e2e.conftest import FinishedRun, medix, stub_overrides, train
from tests.support import failing_rollouts
from tests.support.judge_stub import JudgeStub
from tests.support.rankings import SHOWN, opinion, worth

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1500)]

PROMPTS, N, STEPS = 8, 5, 3


@pytest.fixture(scope="module")
def finished(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, list[str]]:
    folder = tmp_path_factory.mktemp("groups")
    with JudgeStub(opinion) as stub:
        overrides = [
            *stub_overrides(demo, stub.address),
            "reward=relative",
            f"trainer.total_training_steps={STEPS}",
            "trainer.save_freq=-1",
            *["trainer.test_freq=2", "data.val_max_samples=12", "actor_rollout_ref.rollout.val_kwargs.n=1"],
            f"run.plugins=[{failing_rollouts.__file__}]",
            "embedder=remote",
            *[f"embedder.base_url={stub.address}", "embedder.model=stub-judge"],
            *["judge.client.patience=60", "embedder.patience=60", "run.stall_limit=200", "run.silence_limit=300"],
        ]
        run = train(folder, overrides, timeout=1200.0)
        return run, [call["messages"][0]["content"] for call in stub.calls if "messages" in call]


def groups(run: FinishedRun, step: int) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = defaultdict(list)
    for row in read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"):
        found[row["uid"]].append(row)
    return found


def test_the_run_ends_by_itself(finished):
    run, _ = finished
    assert run.exit_code == 0, run.output[-3000:]
    assert max(run.folder.metrics_by_step()) == STEPS


def test_one_ranking_a_group_at_most(finished):
    run, asked = finished
    rankings = [prompt for prompt in asked if SHOWN.search(prompt)]
    metrics = run.folder.metrics_by_step()

    assert 0 < len(rankings) <= PROMPTS * STEPS
    assert [metrics[step]["reward/relative/groups"] for step in (1, 3)] == [PROMPTS, PROMPTS]
    assert all(metrics[step]["reward/relative/calls"] <= PROMPTS for step in range(1, STEPS + 1))
    assert all(-1 <= metrics[step]["reward/relative/position_bias/mean"] <= 1 for step in range(1, STEPS + 1))


def test_places_follow_the_judge_within_each_group(finished):
    run, _ = finished
    compared = 0
    for step in range(1, STEPS + 1):
        for rows in groups(run, step).values():
            for a, b in itertools.combinations(rows, 2):
                one, other = (None if row["answer"] is None else normalize_answer(row["answer"]) for row in (a, b))
                reference = a["reference"].partition(">")[2]
                if one == other:
                    assert a["parts"]["relative"] == b["parts"]["relative"]
                elif None not in (one, other) and reference.lower() not in (one, other):
                    better = worth(a["answer"], reference) - worth(b["answer"], reference)
                    gained = a["parts"]["relative"] - b["parts"]["relative"]
                    assert better * gained >= 0, (a["answer"], b["answer"], reference)
                    compared += 1
    assert compared > 20


def test_the_others_of_a_rollout_that_fails_are_ranked_without_it(finished):
    run, _ = finished
    for uid, rows in groups(run, failing_rollouts.STEP).items():
        gone = {session for session in range(N) if failing_rollouts.lost(uid, session)}
        assert {int(row["key"].split("_")[1]) for row in rows} == set(range(N)) - gone
        assert all(row["parts"]["relative"] is not None and not row["masked"] for row in rows)
    metrics = run.folder.metrics_by_step()
    lost = sum(
        failing_rollouts.lost(f"step{failing_rollouts.STEP:06d}-prompt{n:06d}", session) is not None
        for n in range(PROMPTS)
        for session in range(N)
    )
    assert metrics[failing_rollouts.STEP]["reward/relative/lost_rollouts"] == lost
    assert metrics[1]["reward/relative/lost_rollouts"] == metrics[3]["reward/relative/lost_rollouts"] == 0


def test_a_validation_of_single_replies_is_scored_by_the_other_signals(finished):
    run, _ = finished
    (file,) = sorted((run.folder.samples / "validation").glob("*.jsonl"))[:1]
    rows = list(read_lines(file))

    assert rows
    assert all(row["parts"]["relative"] is None and row["overall"] is not None for row in rows)
    assert all(row["weights"]["relative"] == 0 for row in rows)


def test_the_samples_are_replayed_as_groups(finished):
    run, _ = finished
    with JudgeStub(opinion) as stub:
        code, output = medix(
            *["replay", str(run.folder.root), "--step", "1", "judge=remote", f"judge.client.base_url={stub.address}"],
            *["judge.client.model=stub-judge", "judge.client.prompt=match_short", "embedder=remote"],
            *[f"embedder.base_url={stub.address}", "embedder.model=stub-judge"],
        )
    assert code == 0, output
    assert re.search(r"^.*relative\s.*\s0\s*.?$", output, re.MULTILINE), output
