"""Updates that would be rounded away, and adapters that reach no expert."""

import pytest

from medix_r1.training.preflight.machine import memory
from medix_r1.training.preflight.trained_parameters import trained_problems
from tests.support.configs import choices, composed, set_in
from tests.support.problems import codes
from tests.unit.training.preflight.machine.test_disk import write_weight

OPTIMIZER = "actor_rollout_ref.actor.optim.optimizer"
MODULES = "actor_rollout_ref.model.target_modules"
PATH = "actor_rollout_ref.model.path"
PARAMETERS = "actor_rollout_ref.model.target_parameters"
BF16 = "actor_rollout_ref.actor.fsdp_config.model_dtype=bf16"
FSDP1 = "actor_rollout_ref.actor.strategy=fsdp"
OURS = ["actor_rollout_ref.actor.optim.optimizer_impl=medix_r1.training.verl_plugin.optimizer"]
OURS += ["actor_rollout_ref.actor.optim.optimizer=CompensatedAdamW"]
RECIPE, MIXTURE = "experiment=medix_r1_8b_grpo", "experiment=medix_r1_30b_dapo"


def problems(*words: str):
    return codes(trained_problems(composed(*words)))


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_trains_what_it_says(name):
    assert problems(f"experiment={name}") == []


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ([RECIPE, BF16], True),
        ([RECIPE, BF16, *OURS], False),
        ([RECIPE, BF16, "actor_rollout_ref.actor.optim.lr=1e-3"], False),  # large enough for bf16
        ([RECIPE, BF16, "actor_rollout_ref.actor.optim.optimizer_impl=bitsandbytes.optim"], False),  # not known to us
        ([RECIPE, BF16, "lora=rank64"], False),  # adapters are fp32
        ([RECIPE, BF16, "lora=rank64", FSDP1], True),
        ([RECIPE, BF16, "lora=rank64", FSDP1, *OURS], False),
        ([RECIPE, "lora=rank64", FSDP1], False),
    ],
)
def test_updates_below_the_resolution_of_bf16(words, lost):
    assert problems(*words) == ([(OPTIMIZER, "updates-rounded-away")] if lost else [])


@pytest.mark.parametrize("modules", ["all-linear", "[all-linear]"])
def test_adapters_everywhere_leave_the_experts_of_a_mixture_out(modules):
    words = ["lora=rank64", f"{MODULES}={modules}"]
    assert problems(MIXTURE, *words) == [(MODULES, "experts-untrained")]
    assert problems(RECIPE, *words) == []


def test_adapters_of_named_layers_are_what_was_asked_for():
    assert problems(MIXTURE, "lora=rank64", f"{MODULES}=[q_proj,k_proj,v_proj,o_proj]") == []


def test_adapters_of_packed_experts_cannot_be_merged():
    words = ["lora=rank64", f"{MODULES}=[q_proj]", f"+{PARAMETERS}=[mlp.experts.gate_up_proj]"]
    assert problems(MIXTURE, *words) == [(PARAMETERS, "adapters-not-mergeable")]


def test_adapters_take_fp32_whatever_the_base_takes():
    size = memory.size_of("Qwen/Qwen3-VL-2B-Instruct")
    parts = memory.estimate(size, composed("experiment=medix_r1_2b_gpu24"), 0.0).update
    adapters = 64 * size.linear
    assert parts["parameters"] == 2 * size.parameters + 4 * adapters
    assert (parts["gradients"], parts["optimizer"]) == (4 * adapters, 8 * adapters)


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (["q_proj", "o_proj"], True),
        (["self_attn.q_proj"], True),
        (["lm_head"], True),
        (["q_proj", "w2"], False),
        (["proj"], False),  # the end of a module's name, at a dot
        (r".*language_model.*\.(q|o)_proj", True),
        (".*vision.*q_proj", False),
        ("([", False),
    ],
)
def test_names_of_layers_that_the_model_lacks(modules, found, tmp_path):
    for layer in ("q_proj", "o_proj"):
        name = f"model.language_model.layers.0.self_attn.{layer}.weight"
        write_weight(tmp_path / f"{layer}.safetensors", name, 2)
    adapted = set_in(RECIPE, "lora=rank64", **{PATH: str(tmp_path), MODULES: modules})
    assert codes(trained_problems(adapted)) == ([] if found else [(MODULES, "no-such-module")])


def test_layers_of_a_model_that_is_not_here_are_not_guessed():
    assert codes(trained_problems(set_in(RECIPE, "lora=rank64", **{MODULES: ["w2"]}))) == []
