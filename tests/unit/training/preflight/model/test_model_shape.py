"""What follows from a model's shape, of a folder or of a model that is known without one."""

import json

import pytest

from medix_r1.training.preflight.machine import memory
from medix_r1.training.preflight.model import known_models
from medix_r1.training.preflight.model.model_shape import is_mixture_of_experts, is_text_only, is_tied, shape_problems
from tests.support.configs import choices, composed
from tests.support.problems import codes
from tests.unit.training.preflight.model.test_model_folder import save

FUSED = "actor_rollout_ref.model.use_fused_kernels"
PARALLEL = "actor_rollout_ref.rollout.tensor_model_parallel_size"


def problems(*words: str):
    return list(shape_problems(composed(*words)))


def folder(tmp_path, **values):
    (tmp_path / "config.json").write_text(json.dumps(values))
    return f"actor_rollout_ref.model.path='{tmp_path}'"


@pytest.mark.parametrize("name", [name for name in choices("experiment") if name.startswith("medix")])
def test_every_recipe_fits_its_model(name):
    assert problems(f"experiment={name}") == []


def test_heads_are_divided_among_the_ranks_of_vllm(tmp_path):
    (problem,) = problems("experiment=medix_r1_7b_gspo", f"{PARALLEL}=8")
    assert (problem.key, problem.code) == (PARALLEL, "heads-do-not-divide")
    assert "28" in problem.text
    assert problems("experiment=medix_r1_7b_gspo", f"{PARALLEL}=4") == []
    own = folder(tmp_path, text_config={"num_attention_heads": 6})
    assert codes(problems("experiment=medix_r1_8b_grpo", own, f"{PARALLEL}=4")) == [(PARALLEL, "heads-do-not-divide")]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["experiment=medix_r1_8b_grpo", f"{FUSED}=true"], True),
        (["experiment=medix_r1_8b_grpo", f"{FUSED}=true", "actor_rollout_ref.actor.strategy=fsdp"], False),
        (["experiment=medix_r1_8b_grpo"], False),
        (["experiment=medix_r1_2b_dapo", f"{FUSED}=true"], False),
        (["experiment=medix_r1_8b_grpo", "actor_rollout_ref.model.path=some/body", f"{FUSED}=true"], False),
    ],
)
def test_fused_kernels_and_an_output_layer_of_its_own(words, refused):
    assert codes(problems(*words)) == ([(FUSED, "wrong-gradients")] if refused else [])


@pytest.mark.parametrize("attention", ["sdpa", "torch_varlen"])
def test_what_verl_does_by_flash_attention_alone(attention):
    asked = f"+actor_rollout_ref.model.override_config.attn_implementation={attention}"
    split = "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size"
    packed = "actor_rollout_ref.model.use_remove_padding"
    code = "needs-flash-attn"
    assert problems("experiment=medix_r1_8b_grpo", asked) == []
    assert codes(problems("experiment=medix_r1_8b_grpo", asked, f"{split}=2")) == [(split, code)]
    assert codes(problems("experiment=medix_r1_7b_gspo", asked)) == [(packed, code)]
    assert problems("experiment=medix_r1_7b_gspo", asked, f"{packed}=false") == []
    assert problems("experiment=medix_r1_7b_gspo", f"{split}=2") == []


def test_the_weights_tell_where_the_config_does_not(tmp_path):
    folder(tmp_path)
    assert is_tied(str(tmp_path)) is None
    save(tmp_path / "model.safetensors")
    assert is_tied(str(tmp_path)) is True
    text = json.dumps({"lm_head.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    assert is_tied(str(tmp_path)) is False
    folder(tmp_path, text_config={"tie_word_embeddings": True})
    assert is_tied(str(tmp_path)) is True


def test_mixtures_of_experts(tmp_path):
    assert is_mixture_of_experts("Qwen/Qwen3-VL-30B-A3B-Thinking")
    assert not is_mixture_of_experts("Qwen/Qwen3-VL-8B-Instruct")
    folder(tmp_path, model_type="qwen3_vl_moe")
    assert is_mixture_of_experts(str(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["qwen3_vl_2b", "qwen3_vl_8b", "qwen3_vl_30b_a3b", "qwen3_vl_30b_a3b_instruct", "qwen2_5_vl_7b", "medix_r1_8b"],
)
def test_the_recipes_models_are_known_without_a_download(name):
    path = composed("experiment=medix_r1_8b_grpo", f"model={name}").actor_rollout_ref.model.path
    known = known_models.find(path)
    assert known is not None
    assert known.source
    assert memory.size_of(path) == known.size


def test_published_counts_of_parameters():
    """As the models' pages on the hub give them."""
    counts = {known.names[0]: known.size.parameters for known in known_models.known_models()}
    assert counts == {
        "Qwen/Qwen3-VL-2B-Instruct": 2_127_532_032,
        "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
        "Qwen/Qwen3-VL-30B-A3B-Instruct": 31_070_754_032,
        "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    }


def test_a_folder_with_a_known_config_is_that_model(tmp_path):
    known = known_models.find("Qwen/Qwen2.5-VL-7B-Instruct")
    assert known is not None
    values = dict(known.config)
    folder(tmp_path, **values, torch_dtype="bfloat16")
    assert known_models.find(str(tmp_path)) == known
    flat = {**values, **values["text_config"], "text_config": None}  # as transformers 4 wrote it
    folder(tmp_path, **flat)
    assert known_models.find(str(tmp_path)) == known
    folder(tmp_path, **values | {"vision_config": {"hidden_size": 1}})
    assert known_models.find(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("values", "text_only"),
    [
        ({"model_type": "qwen3", "hidden_size": 64}, True),
        ({"model_type": "qwen3_vl", "vision_config": {}}, False),
        ({"model_type": "idefics3", "image_token_id": 7}, False),
        ({}, False),
    ],
)
def test_a_model_that_reads_text_alone(values, text_only, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert is_text_only(str(tmp_path)) is text_only
    assert not is_text_only("some/body")
