"""A merge stores every architecture as its published weights are stored, in names, shapes, dtypes and values."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.errors import CheckpointError
from tests.integration.checkpoints.plain import save
from tests.support.hub_layout import ARCHITECTURES, layout, published, sources
from tests.support.problems import coded

# No two sizes are equal, so that a tensor in another layout has another shape.
TEXT: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
EXPERTS: dict[str, Any] = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
VISION: dict[str, Any] = {"depth": 2, "hidden_size": 48, "intermediate_size": 72, "num_heads": 3, "out_hidden_size": 64}
QWEN3_VISION: dict[str, Any] = {
    **VISION,
    "deepstack_visual_indexes": [0],
    "num_position_embeddings": 36,
    "patch_size": 8,
}


def without_head_dim() -> dict[str, Any]:
    return {key: value for key, value in TEXT.items() if key != "head_dim"}


def qwen3_vl() -> PreTrainedModel:
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=TEXT, vision_config=QWEN3_VISION))


def qwen3_vl_moe(**changes: Any) -> PreTrainedModel:
    text = {**TEXT, **EXPERTS, **changes}
    return Qwen3VLMoeForConditionalGeneration(Qwen3VLMoeConfig(text_config=text, vision_config=QWEN3_VISION))


def qwen2_5_vl() -> PreTrainedModel:
    text = {**without_head_dim(), "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
    vision = {**VISION, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision))


def smolvlm() -> PreTrainedModel:
    text = {**without_head_dim(), "model_type": "llama"}
    vision = {"num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 64, "patch_size": 16}
    vision |= {key: VISION[key] for key in ("hidden_size", "intermediate_size")}
    return SmolVLMForConditionalGeneration(SmolVLMConfig(text_config=text, vision_config=vision, scale_factor=2))


def qwen3_moe() -> PreTrainedModel:
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**TEXT, **EXPERTS))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "qwen3_vl": qwen3_vl,
    "qwen3_vl_moe": qwen3_vl_moe,
    "qwen2_5_vl": qwen2_5_vl,
    "smolvlm": smolvlm,
    "qwen3_moe": qwen3_moe,
}


def checkpoint(run: Path, model: PreTrainedModel) -> Path:
    """A sealed checkpoint of a model, as FSDP1 leaves it on one rank."""
    model.config.architectures = [type(model).__name__]
    huggingface = run / "checkpoints" / "global_step_5" / "actor" / "huggingface"
    huggingface.mkdir(parents=True)
    (huggingface / "processor_config.json").write_text("{}", encoding="utf-8")
    return save(run, model.state_dict(), model.config)


def test_every_architecture_has_its_table() -> None:
    assert MODELS.keys() == set(ARCHITECTURES)
    assert all(sources(name) for name in ARCHITECTURES)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if published(name)])
def test_the_table_gives_the_shapes_that_were_reported_of_published_files(name: str) -> None:
    found = layout(name, published(name)["config"])
    assert {key: list(found[key]) for key in published(name)["shapes"]} == published(name)["shapes"]


@pytest.mark.parametrize("name", MODELS)
def test_names_shapes_and_dtypes_are_those_of_published_weights(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    merge(checkpoint(tmp_path, MODELS[name]()), tmp_path / "model", options=Options(dtype="bf16"))

    written = load_file(tmp_path / "model" / "model.safetensors")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert {key: tuple(value.shape) for key, value in written.items()} == layout(name, config)
    assert {value.dtype for value in written.values()} == {torch.bfloat16}


@pytest.mark.parametrize("name", MODELS)
def test_transformers_loads_the_values_that_were_trained(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]()
    merge(checkpoint(tmp_path, model), tmp_path / "model")

    auto = AutoModelForCausalLM if name == "qwen3_moe" else AutoModelForImageTextToText
    loaded = auto.from_pretrained(tmp_path / "model").state_dict()
    trained = model.state_dict()
    assert loaded.keys() == trained.keys()
    assert [key for key in trained if not torch.equal(loaded[key], trained[key])] == []


def test_the_values_of_experts_are_transposed_to_the_hubs_layout(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = qwen3_vl_moe()
    merge(checkpoint(tmp_path, model), tmp_path / "model")

    written = load_file(tmp_path / "model" / "model.safetensors")
    experts = {key: value for key, value in model.state_dict().items() if ".experts." in key}
    assert len(experts) == 4
    assert all(torch.equal(written[key], value.transpose(1, 2)) for key, value in experts.items())


def test_the_config_has_what_vllm_and_older_readers_ask_for(tmp_path: Path) -> None:
    """Of a mixture of experts that was trained from a config without them, as transformers 5 saves it."""
    merge(checkpoint(tmp_path, qwen3_vl_moe()), tmp_path / "model")

    text = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))["text_config"]
    assert (text["num_experts"], text["norm_topk_prob"], text["tie_word_embeddings"]) == (5, True, False)
    assert (text["rope_theta"], text["rope_scaling"]) == (text["rope_parameters"]["rope_theta"], None)


@pytest.mark.parametrize("width", [64, 32])
def test_experts_whose_layout_no_reader_could_tell_are_refused(tmp_path: Path, width: int) -> None:
    with pytest.raises(CheckpointError, check=coded("square-experts", "mlp.experts", "moe_intermediate_size")):
        merge(checkpoint(tmp_path, qwen3_vl_moe(moe_intermediate_size=width)), tmp_path / "model")
