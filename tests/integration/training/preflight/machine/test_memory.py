"""The estimate's exact parts against tensors that are counted; the rest against arithmetic done by hand."""

import importlib
from pathlib import Path

import pytest
import torch

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.training.preflight.machine import activations, memory, micro_batch
from tests.support.configs import composed
from tests.support.problems import only

NOTHING = {"optimizer": 0.0}


def test_parameters_are_counted_exactly(nano_policy: Path):
    from medix_r1.demo.replies import load_policy

    size = memory.size_of(nano_policy)
    loaded = load_policy(nano_policy)
    assert size.parameters == sum(parameter.numel() for parameter in loaded.parameters())
    assert size.layers == loaded.config.text_config.num_hidden_layers


def test_parts_of_an_update_on_two_ranks(nano_policy: Path):
    config = configs.compose_train(
        ["experiment=nano_cpu", "hardware=cpu2", f"actor_rollout_ref.model.path={nano_policy}"]
    )
    size = memory.size_of(nano_policy)
    parts = memory.estimate(size, config, gpu_bytes=0.0).update
    assert parts["parameters"] == parts["gradients"] == 4 * size.parameters / 2
    assert parts["optimizer"] == 8 * size.parameters / 2
    begins = next(activations.of_update(size, config, micro_batch.of_config(config).update, NOTHING))
    assert begins["logits"] == 2 * 4 * 4096 * size.vocabulary  # fp32 on a CPU; rows that are not packed have them twice


def test_a_gpu_computes_in_bf16(nano_policy: Path):
    config = composed("experiment=medix_r1_8b_grpo")
    size = memory.size_of(nano_policy)
    begins, layer, _ = activations.of_update(size, config, micro_batch.of_config(config).update, NOTHING)
    assert begins["logits"] == 2 * 16896 * size.vocabulary
    assert layer["gathered layers"] - begins["gathered layers"] == (2 * 2 + 2 + 4) * size.largest_layer


def test_the_looking_term_keeps_a_second_pass(nano_policy: Path):
    config = composed("experiment=medix_r1_8b_grpo", "looking_loss.coefficient=0.1")
    size = memory.size_of(nano_policy)
    batch = micro_batch.of_config(config).update
    without = [*activations.of_update(size, composed("experiment=medix_r1_8b_grpo"), batch, NOTHING)]
    both = [*activations.of_update(size, config, batch, NOTHING)]
    for moment in (0, 1):
        assert both[moment]["activations"] == 2 * without[moment]["activations"]
    assert both[0]["logits"] == 2 * without[0]["logits"]
    assert both[1]["logits"] == without[0]["logits"], "those of the pass whose turn comes last"
    assert both[2] == without[2]


def test_what_is_frozen_has_no_gradient(nano_policy: Path):
    size = memory.size_of(nano_policy)
    assert 0 < size.vision < size.parameters
    frozen = "actor_rollout_ref.actor.freeze_vision_tower=true"
    full = memory.estimate(size, composed("experiment=nano_cpu", frozen), 0.0).update
    assert full["parameters"] == 4 * size.parameters
    assert full["gradients"] == 4 * (size.parameters - size.vision)
    lora = memory.estimate(size, composed("experiment=nano_cpu", "lora=rank64", frozen), 0.0).update
    assert lora["parameters"] == 4 * (size.parameters + 64 * size.linear)
    assert lora["gradients"] == 4 * 64 * (size.linear - size.linear_vision)


def test_vllm_gets_its_share(nano_policy: Path):
    config = configs.compose_train(["experiment=nano_cpu"])
    size = memory.size_of(nano_policy)
    found = memory.estimate(size, config, gpu_bytes=80e9)
    assert found.rollout["vLLM weights"] + found.rollout["KV cache"] == pytest.approx(0.1 * 80e9)
    assert memory.kv_tokens(size, config, 80e9) == pytest.approx(found.rollout["KV cache"] / size.kv_bytes_per_token)


def test_the_states_of_an_optimizer_are_counted_by_its_class(nano_policy: Path):
    size = memory.size_of(nano_policy)
    config = composed("experiment=medix_r1_30b_dapo")
    parts = memory.estimate(size, config, gpu_bytes=0.0).update
    assert parts["optimizer"] == 6 * size.parameters / 8  # bf16: two moments and what rounding left over
    adamw = memory.estimate(size, composed("experiment=medix_r1_8b_grpo"), gpu_bytes=0.0).update
    assert adamw["optimizer"] == 8 * size.parameters / 8


@pytest.mark.parametrize("recipe", ["medix_r1_30b_dapo", "medix_r1_8b_grpo"])
def test_an_optimizer_keeps_as_many_states_as_are_counted(recipe: str):
    actor = composed(f"experiment={recipe}").actor_rollout_ref.actor
    parameter = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = getattr(importlib.import_module(actor.optim.optimizer_impl), actor.optim.optimizer)([parameter], lr=0.1)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    states = [state for state in optimizer.state[parameter].values() if state.ndim]
    assert len(states) == memory.optimizer_states(actor)
    assert all(state.dtype == parameter.dtype for state in states)


def test_a_judge_on_a_gpu_that_trains_has_its_row(nano_policy: Path):
    size = memory.size_of(nano_policy)
    shared = memory.estimate(size, composed("experiment=medix_r1_8b_grpo", "judge=vllm", "placement=shared"), 80e9)
    assert shared.update["judge"] == shared.rollout["judge"] == pytest.approx(0.2 * 80e9)
    words = ("experiment=medix_r1_8b_grpo", "judge=vllm", "placement=shared", "placement.judge_memory=null")
    assert "judge" not in memory.estimate(size, composed(*words), 80e9).update, "the list of problems says so"
    elsewhere = memory.estimate(size, composed("experiment=medix_r1_8b_grpo"), 80e9)
    assert "judge" not in elsewhere.update


def test_parameters_are_shared_within_a_group_of_ranks(nano_policy: Path):
    size = memory.size_of(nano_policy)
    config = composed("experiment=medix_r1_8b_grpo", "actor_rollout_ref.actor.fsdp_config.fsdp_size=4")
    assert memory.estimate(size, config, 0.0).update["parameters"] == 4 * size.parameters / 4


def test_tensors_are_counted_however_deep():
    state = {"a": torch.zeros(3), "deep": {"b": torch.zeros(2, dtype=torch.bfloat16), "step": 3}, "name": "x"}
    assert memory.counted_bytes(state) == 16


def test_a_model_that_is_not_here_says_so():
    with pytest.raises(ConfigError, check=only(("actor_rollout_ref.model.path", "not-downloaded"))):
        memory.size_of("somebody/some-model")


def test_a_folder_that_is_not_there_is_not_to_be_downloaded(tmp_path):
    with pytest.raises(ConfigError, check=only(("actor_rollout_ref.model.path", "no-such-model"))):
        memory.size_of(tmp_path / "gone")
