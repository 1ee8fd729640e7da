"""Every algorithm and trainer takes real steps on a CPU: Ray, FSDP, vLLM, and a judge that refuses some questions.

GSPO runs in test_gspo_two_ranks.py, DAPO in test_dapo.py; an estimator of a user's own in tests/e2e.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import FinishedRun, stub_overrides, train
from tests.support.judge_stub import JudgeStub
from tests.support.trained_weights import moved

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(7200)]

STEPS = (1, 2)
RUNS = {
    "grpo": ["algorithm=grpo"],
    "gdpo": ["algorithm=gdpo"],
    "dr_grpo": ["algorithm=dr_grpo"],
    "cispo": ["algorithm=cispo", "actor_rollout_ref.actor.ppo_mini_batch_size=4"],  # ratios other than 1
    "sapo": ["algorithm=sapo", "actor_rollout_ref.actor.ppo_mini_batch_size=4"],
    "rloo": ["algorithm=rloo"],
    "reinforce_pp": ["algorithm=reinforce_pp"],
    "colocate_async": ["algorithm=grpo", "trainer=colocate_async"],
    "frozen_vision": ["algorithm=grpo", "actor_rollout_ref.actor.freeze_vision_tower=true"],
    "lora": ["algorithm=grpo", "lora=rank64"],
}


def refuse_every_seventh(call: int) -> tuple[int, dict[str, str], bytes] | None:
    return (400, {}, b'{"error": {"message": "too long"}}') if call % 7 == 0 else None


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, demo: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    overrides = [*RUNS[request.param], f"trainer.total_training_steps={len(STEPS)}", "trainer.save_freq=2"]
    with JudgeStub() as server:
        server.behave = refuse_every_seventh
        return train(tmp_path_factory.mktemp(request.param), [*stub_overrides(demo, server.address), *overrides])


def test_two_steps_change_the_policy(run: FinishedRun, demo: Path) -> None:
    assert run.exit_code == 0, run.output
    metrics = run.folder.metrics_by_step()
    for step in STEPS:
        assert math.isfinite(metrics[step]["actor/grad_norm"])
        assert metrics[step]["actor/grad_norm"] > 0
        assert math.isfinite(metrics[step]["actor/pg_loss"])
    changed = moved(run.folder.checkpoints / "global_step_2", demo / "models" / "policy")
    language = [now for name, now in changed.items() if "visual" not in name]
    vision = [now for name, now in changed.items() if "visual" in name]
    assert sum(language) > len(language) / 2
    if "frozen" in run.folder.root.name:
        assert not any(vision)
    elif "lora" not in run.folder.root.name:
        assert sum(vision) > len(vision) / 2


def test_refused_questions_are_masked(run: FinishedRun) -> None:
    rows = [row for step in STEPS for row in read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl")]
    masked = [row for row in rows if row["masked"]]
    assert masked
    assert all(row["overall"] is None and row["failure"] for row in masked)
