"""The nano policy: a Qwen3-VL with 1.56 M parameters, which AutoProcessor and vLLM load like a large one."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from medix_r1.demo.rows.views import VIEW_SIDE
from tools.nano.policy import tokenizer as tokens

HIDDEN = 128
LAYERS = 3
HEADS = 4
VISION_HIDDEN = 96
VISION_LAYERS = 3
PATCH = 16
MERGE = 2


def make_model(tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> Qwen3VLForConditionalGeneration:
    """Return a freshly initialised float32 model."""
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(_config(tokenizer)).float()
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
    )
    return model


def make_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLProcessor:
    """Return the processor: 96x96 pictures become 9 image tokens."""
    vision = {"patch_size": PATCH, "temporal_patch_size": 2, "merge_size": MERGE}
    images = Qwen2VLImageProcessor(
        **vision,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        size={"shortest_edge": 32 * 32, "longest_edge": 128 * 128},
    )
    return Qwen3VLProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**vision),
        chat_template=tokens.chat_template(),
    )


def save_folder(folder: Path, model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write weights, config, tokenizer and processor as a folder for from_pretrained and vLLM."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    token_id = tokenizer.convert_tokens_to_ids
    text = {
        # Equal to the tokenizer's size, because padding rows would get probability in the actor but not in vLLM.
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 3 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "default", "mrope_section": [8, 4, 4], "mrope_interleaved": True},
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "dtype": "float32",
    }
    vision = {
        "depth": VISION_LAYERS,
        "hidden_size": VISION_HIDDEN,
        "intermediate_size": 2 * VISION_HIDDEN,
        "num_heads": VISION_HIDDEN // 32,
        "in_channels": 3,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 2,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": (VIEW_SIDE // PATCH) ** 2,
        "deepstack_visual_indexes": [0],
        "hidden_act": "gelu_pytorch_tanh",
    }
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token_id(tokens.IMAGE),
        video_token_id=token_id(tokens.VIDEO),
        vision_start_token_id=token_id(tokens.VISION_START),
        vision_end_token_id=token_id(tokens.VISION_END),
        tie_word_embeddings=False,
    )
    config.architectures = ["Qwen3VLForConditionalGeneration"]
    return config
