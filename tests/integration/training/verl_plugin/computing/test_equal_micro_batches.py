"""On policy the ratio of new to old probabilities is exactly 1, because both come from the same micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from medix_r1.training.verl_plugin.computing.equal_micro_batches import ROWS, asked_for
from tests.support.on_policy_probe import probe

PACKED = ["actor_rollout_ref.model.use_remove_padding=true", "algorithm=gspo"]
BF16 = "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=bf16"
CLIP = 3e-4  # of algorithm=gspo


@pytest.mark.parametrize("precision", [[], [BF16]], ids=["fp32", "bf16"])
def test_ratios_are_one(nano_policy: Path, precision: list[str]) -> None:
    assert probe(nano_policy, "equal", *PACKED, *precision) == {"token": 0, "reply": 0, "replies": 4}


def test_in_micro_batches_of_its_own_bf16_is_beyond_the_clip_of_gspo(nano_policy: Path) -> None:
    """Why the micro-batches are equal: 35 clips on the machine where this was written."""
    assert probe(nano_policy, "verls", *PACKED, BF16)["reply"] > CLIP


def actor(**changed: Any) -> Any:
    settings = {"ppo_mini_batch_size": 8, "shuffle": False, "use_dynamic_bsz": True, "ppo_max_token_len_per_gpu": 500}
    return OmegaConf.create(settings | {"ppo_micro_batch_size_per_gpu": 2} | changed)


def test_what_the_workers_are_told_while_log_probs_are_computed() -> None:
    extra_info = {"temperature": 1.0}
    with asked_for(extra_info, actor(), group=5):
        assert extra_info == {"temperature": 1.0, ROWS: 40, "use_dynamic_bsz": True, "max_token_len_per_gpu": 500}
    assert extra_info == {"temperature": 1.0}
    with asked_for(extra_info, actor(use_dynamic_bsz=False), group=5):
        assert extra_info["micro_batch_size_per_gpu"] == 2
        assert "max_token_len_per_gpu" not in extra_info
    with asked_for(extra_info, actor(shuffle=True), group=5):
        assert extra_info == {"temperature": 1.0}
