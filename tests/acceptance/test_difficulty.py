"""What `data difficulty` promises of groups, against the groups that the same frozen policy makes in training."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import medix, train

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

GROUPS, STEPS = 120, 4


def test_the_share_of_groups_that_teach_nothing_is_told_within_five_points(demo: Path, tmp_path: Path) -> None:
    code, output = medix(
        *["data", "difficulty", str(demo / "data" / "train.parquet"), f"model={demo / 'models' / 'policy'}"],
        *["server=cpu", "k=8", "max_tokens=40", f"demo_dir={demo}", "judge=nano", "embedder=minilm"],
        *["reward.signals.embed.threshold=0.6", "reward.think_element=think", "--out", str(tmp_path / "measured")],
    )
    assert code == 0, output
    said = json.loads((tmp_path / "measured" / "difficulty.json").read_text(encoding="utf-8"))
    promised = 1 - said["parts"]["all rows"]["teaches"]["5"]["value"]

    run = train(
        tmp_path / "frozen",
        [
            *["experiment=nano_cpu", f"demo_dir={demo}", f"data.train_batch_size={GROUPS}"],
            *[f"trainer.total_training_steps={STEPS}", "actor_rollout_ref.actor.optim.lr=1e-30"],
            *["trainer.test_freq=-1", "trainer.save_freq=100", "trainer.val_before_train=false"],
        ],
    )
    assert run.exit_code == 0, run.output
    groups = defaultdict(set)
    for step in range(1, STEPS + 1):
        for line in read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"):
            groups[line["uid"]].add(line["parts"]["llm"])
    assert len(groups) == GROUPS * STEPS
    assert promised == pytest.approx(sum(len(values) == 1 for values in groups.values()) / len(groups), abs=0.05)
