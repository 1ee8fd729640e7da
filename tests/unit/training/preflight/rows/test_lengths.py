"""Limits that rows would break, some of them only in the middle of a run."""

import json

import pytest

from medix_r1.data.lengths import tokens
from medix_r1.training.preflight.rows import lengths
from medix_r1.training.preflight.rows.lengths import length_problems, token_side
from tests.support.configs import composed
from tests.support.problems import codes

QWEN_3, QWEN_25 = "Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.mark.parametrize(
    ("recipe", "side"),
    [("medix_r1_7b_gspo", 28), ("medix_r1_8b_grpo", 32), ("medix_r1_30b_dapo", 32), ("medix_r1_2b_gpu24", 32)],
)
def test_the_recipes_fit_their_backbones(recipe, side):
    config = composed(f"experiment={recipe}")
    assert token_side(config.actor_rollout_ref.model.path) == side
    assert list(length_problems(config)) == []


@pytest.mark.parametrize("model", ["MBZUAI/MediX-R1-8B", QWEN_3])
def test_the_published_models_are_qwen3(model):
    assert token_side(model) == 32
    assert token_side("somebody/else") is None


def test_a_folder_says_it_itself(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {"patch_size": 14, "spatial_merge_size": 2}}))
    assert token_side(str(tmp_path)) == 28


def test_the_public_limit_of_pixels_is_too_much_for_qwen25():
    (problem,) = length_problems(composed("experiment=medix_r1_7b_gspo", "data.mm_processor_kwargs.max_pixels=4194304"))
    assert (problem.key, problem.code) == ("data.mm_processor_kwargs.max_pixels", "image-fills-the-prompt")
    assert [word for word in ("5349", "28x28") if word not in problem.text] == []
    assert "3211264" in problem.text
    (problem,) = length_problems(
        composed("experiment=medix_r1_8b_grpo", "data.mm_processor_kwargs.max_pixels=41943040")
    )
    assert [word for word in ("40960", "32x32") if word not in problem.text] == []


def test_pixels_the_wrong_way_round():
    key = "data.mm_processor_kwargs.min_pixels"
    assert codes(length_problems(composed("experiment=medix_r1_8b_grpo", f"{key}=9999999"))) == [(key, "min-above-max")]


@pytest.mark.parametrize(
    "key",
    ["actor.ppo_max_token_len_per_gpu", "rollout.log_prob_max_token_len_per_gpu", "ref.log_prob_max_token_len_per_gpu"],
)
def test_a_micro_batch_holds_the_longest_row(key):
    (problem,) = length_problems(composed("experiment=medix_r1_8b_grpo", f"actor_rollout_ref.{key}=8000"))
    assert (problem.key, problem.code) == (f"actor_rollout_ref.{key}", "row-too-long-for-a-micro-batch")
    assert "8448" in problem.text
    parallel = "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2"
    assert (
        list(length_problems(composed("experiment=medix_r1_8b_grpo", f"actor_rollout_ref.{key}=8000", parallel))) == []
    )


@pytest.fixture
def prepared(tmp_path, request):
    """A folder as `data prepare` leaves it, for the backbone and options of a test; composes a run on it."""

    def compose(*overrides, backbone=QWEN_3, think="thinking", longest=4352, low=262144):
        options = {"instructions": True, "think_element": think, "max_prompt_tokens": longest}
        plan = {"backbone": {"name": backbone}, "options": {**options, "image": {"min_pixels": low}}}
        (tmp_path / "manifest.json").write_text(json.dumps({"plan": plan}))
        files = f"data.train_files=[{tmp_path}/train-00000.parquet]"
        return list(length_problems(composed(*overrides, files)))

    return compose


def test_prepared_for_this_run(prepared):
    assert prepared("experiment=medix_r1_8b_grpo") == []
    assert prepared("experiment=medix_r1_2b_dapo") == [], "the 2B model cuts images as the 8B model does"
    assert prepared("experiment=medix_r1_7b_gspo", backbone=QWEN_25) == []


def test_prepared_for_another_backbone(prepared):
    (problem,) = prepared("experiment=medix_r1_7b_gspo")
    assert (problem.key, problem.code) == ("data.train_files", "prepared-for-another-backbone")
    assert f"backbone={QWEN_25}" in problem.text
    assert prepared("experiment=medix_r1_7b_gspo", "data.filter_overlong_prompts=true") == []
    backbones = ("experiment=ablation_backbone", "hydra.mode=RUN", "model=qwen2_5_vl_7b")
    assert prepared(*backbones) == [], "the ablation lets verl filter"


def test_prepared_for_longer_prompts(prepared):
    (problem,) = prepared("experiment=medix_r1_8b_grpo", longest=8192)
    assert (problem.key, problem.code) == ("data.max_prompt_length", "prepared-for-longer-prompts")
    assert "max_prompt_tokens=4352" in problem.text


def test_prepared_with_smaller_images(prepared):
    smaller = ("data.mm_processor_kwargs.min_pixels", "prepared-for-smaller-images")
    assert codes(prepared("experiment=medix_r1_8b_grpo", low=3136)) == [smaller]
    assert prepared("experiment=medix_r1_8b_grpo", "data.filter_overlong_prompts=true", low=3136) == []


@pytest.mark.parametrize(("recipe", "backbone", "limit"), [("8b_grpo", QWEN_3, 4096), ("7b_gspo", QWEN_25, 3136)])
def test_prepared_with_the_loaders_own_smallest_image(prepared, recipe, backbone, limit):
    """`image.min_pixels=null` counts images as they are, from four tokens on."""
    assert lengths._LOADER_MIN_TOKENS == tokens._LOADER_MIN_BLOCKS
    key = "data.mm_processor_kwargs.min_pixels"
    words = {"backbone": backbone, "low": None}
    assert codes(prepared(f"experiment=medix_r1_{recipe}", **words)) == [(key, "prepared-for-smaller-images")]
    assert len(prepared(f"experiment=medix_r1_{recipe}", f"{key}={limit + 1}", **words)) == 1
    assert prepared(f"experiment=medix_r1_{recipe}", f"{key}={limit}", **words) == []
    assert prepared(f"experiment=medix_r1_{recipe}", f"{key}=null", **words) == []


def test_prepared_to_ask_for_another_element(prepared):
    """The format reward would be 0 for every reply that does what its prompt says."""
    found = prepared("experiment=medix_r1_8b_grpo", think="think")
    assert codes(found) == [("reward.think_element", "prepared-for-another-element")]


def test_data_prepare_asks_for_what_is_rewarded():
    from medix_r1.data.settings import compose_prepare

    options = compose_prepare([])
    config = composed("experiment=medix_r1_8b_grpo")
    assert options["think_element"] == config.reward.think_element
    assert options["max_prompt_tokens"] == config.data.max_prompt_length
    assert options["image"]["min_pixels"] == config.data.mm_processor_kwargs.min_pixels
    assert options["backbone"] == config.actor_rollout_ref.model.path
