"""A small sealed checkpoint of plain tensors, as FSDP1 leaves it on one rank; written without any process group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from medix_r1.runs import checkpoints

FILES = ("tokenizer_config.json", "chat_template.jinja")


def config(**changes: Any) -> Qwen3Config:
    small = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
    settings = {**small, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False, **changes}
    found = Qwen3Config(**settings)
    found.architectures = ["Qwen3ForCausalLM"]
    return found


def state_of(model_config: Qwen3Config) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(Qwen3ForCausalLM(model_config).state_dict())


def save(run: Path, state: Any, model_config: Qwen3Config | None = None, *, step: int = 5) -> Path:
    """Write `state` as the only shard; returns the checkpoint's folder."""
    folder = run / "checkpoints" / f"global_step_{step}"
    huggingface = folder / "actor" / "huggingface"
    huggingface.mkdir(parents=True, exist_ok=True)
    (folder / "actor" / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 1, "world_size": 1}))
    torch.save(state, folder / "actor" / "model_world_size_1_rank_0.pt")
    (model_config or config()).save_pretrained(huggingface)
    GenerationConfig(eos_token_id=1).save_pretrained(huggingface)
    for name in FILES:
        (huggingface / name).write_text("{}")
    checkpoints.seal(folder)
    return folder
