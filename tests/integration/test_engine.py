"""Our FSDP engine on a real model: denominators of sequence means, a frozen vision tower, adapters that are trained."""

from pathlib import Path

import pytest

from tests.support.engine_probe import probe

NOW = "actor_rollout_ref.actor.optim.lr_warmup_steps=0"  # the first step of a warm-up has a rate of 0
FROZEN = "actor_rollout_ref.actor.freeze_vision_tower=true"
FSDP = "actor_rollout_ref.actor.fsdp_config"
BF16_LORA = [
    "lora=rank64",
    f"{FSDP}.model_dtype=bf16",
    f"{FSDP}.mixed_precision.param_dtype=bf16",
    "actor_rollout_ref.actor.optim.lr=1e-5",
]


@pytest.fixture(scope="module")
def plain(nano_policy: Path) -> dict:
    return probe(nano_policy, "algorithm=sapo", NOW)


def test_the_engine_is_ours(plain: dict) -> None:
    assert plain["engine"][0] == "CpuFsdpEngine"
    assert {"MedixEngine", "SequenceMeans", "FrozenVisionTower", "LoraAdapters", "NoCpuOffload"} < set(plain["engine"])


def test_a_trained_vision_tower_changes(plain: dict) -> None:
    assert plain["same"] == []
    assert any(".visual." in name for name in plain["changed"])


def test_padding_in_place_of_masked_rows_does_not_shrink_a_sequence_mean(nano_policy: Path, plain: dict) -> None:
    """verl itself would divide by 7 here where there are 4 replies, and the gradient would be 4/7 of this."""
    padded = probe(nano_policy, "--padding=3", "algorithm=sapo", NOW)

    assert padded["grad_norm"] == pytest.approx(plain["grad_norm"], rel=1e-4)
    assert padded["loss"] == pytest.approx(plain["loss"], rel=1e-4)


def test_a_frozen_vision_tower_does_not_change(nano_policy: Path, plain: dict) -> None:
    frozen = probe(nano_policy, "algorithm=sapo", NOW, FROZEN)

    assert frozen["same"]
    assert set(frozen["same"]) == {name for name in plain["changed"] if ".visual." in name}
    assert 0 < frozen["grad_norm"] < plain["grad_norm"]


def test_every_entry_of_an_adapter_over_a_bf16_base_changes(nano_policy: Path) -> None:
    """verl itself makes the adapters bf16, where 5 % of the entries of the first factor change in these 20 steps."""
    seen = probe(nano_policy, "--steps=20", "algorithm=grpo", NOW, *BF16_LORA)

    adapters = [name for name in seen["moved"] if ".lora_" in name]
    assert {seen["dtypes"][name] for name in adapters} == {"torch.float32"}
    assert {seen["dtypes"][name] for name in seen["moved"] if name not in adapters} == {"torch.bfloat16"}
    assert min(seen["moved"][name] for name in adapters) > 0.95
    assert not any(share for name, share in seen["moved"].items() if name not in adapters)


def test_a_frozen_vision_tower_has_frozen_adapters(nano_policy: Path) -> None:
    seen = probe(nano_policy, "algorithm=grpo", NOW, FROZEN, *BF16_LORA)

    assert any(".visual." in name and "lora_B" in name for name in seen["same"])
    assert not [name for name in seen["changed"] if ".visual." in name]
    assert any("lora_B" in name for name in seen["changed"])
