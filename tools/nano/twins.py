"""Tiny models of other architectures, with random weights, real processors and the demo's tokenizer.

They test that an architecture works with verl and vLLM. The nano policy itself is in `policy/model.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from medix_r1.checkpoints.parameters.hub_layout import hub_conversions
from medix_r1.demo.rows.labels import Labels
from tools.nano.policy import model as nano
from tools.nano.policy import tokenizer as tokens

HIDDEN = nano.HIDDEN
# Neither HIDDEN nor half of it, so that a transposed tensor has another shape; a multiple of 32 for vLLM's CPU kernel.
EXPERT_WIDTH = 96
LAYERS = 2
HEADS = nano.HEADS
QWEN25_PATCH = 14
SMOL_SIDE = 64  # pixels; one image is (64 / 16 / 2)^2 = 4 tokens
SMOL_PATCH = 16
SMOL_SCALE = 2
SMOL_TOKENS = ("<image>", "<fake_token_around_image>", "<global-img>")


def _qwen_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {
        "image_token_id": tokens.IMAGE,
        "video_token_id": tokens.VIDEO,
        "vision_start_token_id": tokens.VISION_START,
        "vision_end_token_id": tokens.VISION_END,
    }
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _text(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "dtype": "float32",
    }


def qwen3_vl_moe(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen3-VL with four experts in every layer, two of them active."""
    dense = nano.make_model(tokenizer).config
    text = {key: value for key, value in dense.text_config.to_dict().items() if key != "model_type"}
    text |= {
        "num_hidden_layers": LAYERS,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": EXPERT_WIDTH,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    }
    vision = {key: value for key, value in dense.vision_config.to_dict().items() if key != "model_type"}
    config = Qwen3VLMoeConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **_qwen_ids(tokenizer))
    return Qwen3VLMoeForConditionalGeneration(config), nano.make_processor(tokenizer)


def qwen2_5_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen2.5-VL: patches of 14 pixels, window attention in the vision tower."""
    text = _text(tokenizer)
    del text["head_dim"]
    text |= {
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [8, 4, 4]},
        "use_sliding_window": False,
    }
    vision = {
        "depth": 2,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_heads": 3,
        "in_channels": 3,
        "patch_size": QWEN25_PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 4 * QWEN25_PATCH,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **_qwen_ids(tokenizer))
    shape = {"patch_size": QWEN25_PATCH, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**shape, size={"shortest_edge": 28 * 28, "longest_edge": 112 * 112}),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**shape),
        chat_template=tokens.chat_template(),
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def smolvlm2(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, ProcessorMixin]:
    """SmolVLM2: a SigLIP vision tower, pixel shuffle, and a Llama."""
    tokenizer.add_special_tokens({"additional_special_tokens": [*tokens.SPECIAL, *SMOL_TOKENS]})
    template = tokens.chat_template().replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>")
    text = {**_text(tokenizer), "model_type": "llama", "rope_theta": 10000.0}
    vision = {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "image_size": SMOL_SIDE,
        "patch_size": SMOL_PATCH,
    }
    config = SmolVLMConfig(
        text_config=text,
        vision_config=vision,
        scale_factor=SMOL_SCALE,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    size = {"longest_edge": SMOL_SIDE}
    tokenizer.chat_template = template
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=size, max_image_size=size, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=size, max_image_size=size),
        image_seq_len=(SMOL_SIDE // SMOL_PATCH // SMOL_SCALE) ** 2,
        chat_template=template,
    )
    return SmolVLMForConditionalGeneration(config), processor


TWINS: dict[str, Callable[[PreTrainedTokenizerFast], tuple[PreTrainedModel, ProcessorMixin]]] = {
    "qwen3_vl_moe": qwen3_vl_moe,
    "qwen2_5_vl": qwen2_5_vl,
    "smolvlm2": smolvlm2,
}


def build_twin(folder: Path, architecture: str, labels: Labels, *, seed: int = 0) -> None:
    """Write one twin as a folder for from_pretrained and vLLM; `architecture` is a key of `TWINS`."""
    tokenizer = tokens.make_tokenizer(labels)
    torch.manual_seed(seed)
    model, processor = TWINS[architecture](tokenizer)
    model = model.float()
    model.config.architectures = [type(model).__name__]
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    model._weight_conversions = hub_conversions(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
