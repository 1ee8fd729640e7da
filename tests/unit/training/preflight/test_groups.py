"""What `check` says of signals that score whole groups."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from omegaconf import OmegaConf

from medix_r1.training.preflight.groups import column_problems, group_problems
from tests.support.problems import codes

HERE = "tests.unit.training.preflight.test_groups"
FORMAT = {"_target_": "medix_r1.rewards.format.FormatReward"}


class Pairs:
    needs_group = True


class Fours:
    needs_group = True
    smallest_group = 4


def config(signals: dict[str, Any], weights: dict[str, float], n: int = 8, validation_n: int = 1, **more: Any) -> Any:
    rollout = {"n": n, "val_kwargs": {"n": validation_n}}
    trainer = {"v1": {"trainer_mode": "medix_sync"}, "test_freq": 10, "val_before_train": False}
    tables = more.pop("tables", {})
    return OmegaConf.create(
        {
            "reward": {"signals": signals, "weights": weights, "weight_tables": tables},
            "actor_rollout_ref": {"rollout": rollout},
            "trainer": trainer | more,
        }
    )


PAIRS, FOURS = {"_target_": f"{HERE}.Pairs"}, {"_target_": f"{HERE}.Fours"}
N, VALIDATION = "actor_rollout_ref.rollout.n", "actor_rollout_ref.rollout.val_kwargs.n"
BOTH = {"rank": PAIRS, "format": FORMAT}


@pytest.mark.parametrize(
    ("node", "wrong"),
    [
        (config({"format": FORMAT}, {"format": 1.0}, n=1), {}),
        (config(BOTH, {"rank": 0.5, "format": 0.5}), {}),
        (config({"rank": FOURS, "format": FORMAT}, {"rank": 0.5, "format": 0.5}, n=3), {N: "group-too-small"}),
        (config({"rank": FOURS, "format": FORMAT}, {"rank": 0.5, "format": 0.5}, n=4), {}),
        (
            config(BOTH, {"rank": 0.5, "format": 0.5}, v1={"trainer_mode": "sync"}),
            {"reward.signals.rank": "not-our-trainer"},
        ),
        (config(BOTH, {"rank": 1.0}), {VALIDATION: "validation-without-score"}),
        (config(BOTH, {"rank": 1.0, "format": 0.0}), {VALIDATION: "validation-without-score"}),
        (config(BOTH, {"rank": 1.0}, validation_n=2), {}),
        (config(BOTH, {"rank": 1.0}, test_freq=-1), {}),
        (config(BOTH, {"rank": 1.0}, test_freq=-1, val_before_train=True), {VALIDATION: "validation-without-score"}),
        (
            config(BOTH, {"rank": 0.5, "format": 0.5}, tables={"source": {"reports": {"rank": 1.0}}}),
            {VALIDATION: "validation-without-score"},
        ),
        (config({**BOTH, "one": {**PAIRS, "smallest_group": 1}}, {"one": 1.0}), {}),
        (config({"rank": {"_target_": "no.such.Thing"}, "gone": None}, {"rank": 1.0}), {}),
    ],
)
def test_group_problems(node, wrong):
    assert dict(codes(group_problems(node))) == wrong


@pytest.mark.parametrize(("signals", "wrong"), [(BOTH, {"data.train_files": "groups-of-other-sizes"}), ({}, {})])
def test_a_column_with_other_sizes_of_groups_is_refused(signals, wrong):
    schema = pa.schema([("prompt", pa.string()), ("__rollout_n__", pa.int64())])

    assert dict(codes(column_problems(config(signals, {}), "data.train_files", schema))) == wrong
    assert not list(column_problems(config(signals, {}), "data.train_files", pa.schema([("prompt", pa.string())])))
