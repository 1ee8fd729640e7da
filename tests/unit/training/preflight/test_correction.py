"""The group `correction`, and what of verl's rollout correction would end the first step or do nothing."""

import pytest

from medix_r1.training.preflight.correction import correction_problems
from tests.support.configs import choices, composed, set_in
from tests.support.problems import codes

KEY = "algorithm.rollout_correction"
RECIPE = "experiment=medix_r1_8b_grpo"


def problems(*words: str, **values):
    return codes(correction_problems(set_in(RECIPE, *words, **values)))


def values(**changed):
    return {f"{KEY}.{name}": value for name, value in changed.items()}


@pytest.mark.parametrize("name", choices("correction"))
def test_every_choice_passes(name):
    assert problems(f"correction={name}") == []


def test_the_mixture_of_experts_is_corrected_and_no_other_recipe():
    found = {}
    for name in choices("experiment"):
        found[name] = composed(f"experiment={name}").algorithm.rollout_correction
    mixture = found.pop("medix_r1_30b_dapo")
    # verl's examples/grpo_trainer/run_qwen3_vl_30b_a3b_fsdp.sh
    assert (mixture.rollout_is, mixture.rollout_is_threshold) == ("sequence", 2.0)
    assert mixture.rollout_is_batch_normalize
    assert (mixture.rollout_rs, mixture.rollout_rs_threshold) == ("token_k1", "0.6_1.6")
    assert not any(node.rollout_is or node.rollout_rs for node in found.values())


def test_a_choice_leaves_nothing_of_another():
    node = composed(RECIPE, "correction=none").algorithm.rollout_correction
    assert (node.rollout_is, node.rollout_rs, node.rollout_rs_threshold) == (None, None, None)


@pytest.mark.parametrize(
    ("changed", "key", "code"),
    [
        ({"rollout_rs": "token_k4", "rollout_rs_threshold": 1.0}, "rollout_rs", "not-a-choice"),
        ({"rollout_rs": " ", "rollout_rs_threshold": 1.0}, "rollout_rs", "not-a-choice"),
        ({"rollout_rs": "token_k1"}, "rollout_rs_threshold", "no-threshold"),
        ({"rollout_rs": "token_k3", "rollout_rs_threshold": "0.5_2"}, "rollout_rs_threshold", "not-a-threshold"),
        ({"rollout_rs": "token_k1", "rollout_rs_threshold": "2_0.5"}, "rollout_rs_threshold", "not-a-threshold"),
        ({"rollout_rs": "token_k1", "rollout_rs_threshold": "-1"}, "rollout_rs_threshold", "not-a-threshold"),
        ({"rollout_rs": "token_k1", "rollout_rs_threshold": "1,2"}, "rollout_rs_threshold", "not-a-threshold"),
        ({"rollout_is": "token", "rollout_is_threshold": "5_0.5"}, "rollout_is_threshold", "not-a-threshold"),
        ({"rollout_is": "token", "rollout_is_threshold": "two"}, "rollout_is_threshold", "not-a-threshold"),
        ({"rollout_is": "token", "bypass_mode": True}, "bypass_mode", "no-effect"),
    ],
)
def test_what_verl_would_refuse_or_leave_out(changed, key, code):
    assert problems(**values(**changed)) == [(f"{KEY}.{key}", code)]


@pytest.mark.parametrize(
    "changed",
    [
        {"rollout_rs": "token_k1,seq_max_k3", "rollout_rs_threshold": "0.6_1.6,0.1"},
        {"rollout_rs": "seq_mean_k3, token_k2", "rollout_rs_threshold": 0.01},
        {"rollout_is": "token", "rollout_is_threshold": "0.5_5.0"},
        {"rollout_is": "sequence", "rollout_is_threshold": 2},
        {"bypass_mode": True},
    ],
)
def test_what_verl_takes(changed):
    assert problems(**values(**changed)) == []


REPLAY = "actor_rollout_ref.rollout.enable_rollout_routing_replay"


def test_routes_of_a_mixture_of_experts_are_replayed():
    assert problems("model=qwen3_vl_30b_a3b", f"{REPLAY}=true") == []


def test_a_dense_model_has_no_routes():
    assert problems("model=qwen3_vl_8b", f"{REPLAY}=true") == [(REPLAY, "no-effect")]


@pytest.mark.parametrize("node", ["actor", "actor.fsdp_config"])
def test_routes_are_not_split_over_ranks(node):
    split = f"actor_rollout_ref.{node}.ulysses_sequence_parallel_size=2"
    assert problems("model=qwen3_vl_30b_a3b", f"{REPLAY}=true", split) == [(REPLAY, "routes-not-split")]


def test_nothing_to_correct_with():
    key = "actor_rollout_ref.rollout.calculate_log_probs"
    assert problems("correction=tis", f"{key}=false") == [(key, "nothing-to-correct-with")]
