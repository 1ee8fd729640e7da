"""Rows with pictures packed into one, as verl's engine does it: run through verl's monkey patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

PICTURES = ((64, 96, 13), (128, 64, 29), (0, 0, 17), (96, 96, 5))  # height, width, tokens of the reply


@dataclass(frozen=True)
class Row:
    ids: torch.Tensor
    positions: torch.Tensor  # (4, tokens): the text's, then three of M-RoPE
    pictures: dict[str, torch.Tensor]


def load(folder: Path, attention: str) -> Any:
    """A model with verl's patches for packed rows."""
    from transformers import AutoModelForImageTextToText
    from verl.models.transformers.monkey_patch import apply_monkey_patch

    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation=attention, dtype=torch.float32)
    apply_monkey_patch(model=model, use_remove_padding=True, ulysses_sp_size=1)
    return model.eval()


def rows(folder: Path) -> list[Row]:
    """Rows of other lengths, one of them without a picture."""
    from verl.utils.tokenizer import hf_processor

    processor = hf_processor(str(folder))
    rng = np.random.default_rng(0)
    return [_row(processor, rng, *picture) for picture in PICTURES]


def logits(model: Any, packed: list[Row]) -> torch.Tensor:
    """Logits of rows in one, (tokens, vocabulary)."""
    pictures = {
        name: torch.cat([row.pictures[name] for row in packed if name in row.pictures])
        for name in ("pixel_values", "image_grid_thw")
        if any(name in row.pictures for row in packed)
    }
    output: torch.Tensor = model(
        input_ids=torch.cat([row.ids for row in packed])[None],
        attention_mask=None,
        position_ids=torch.cat([row.positions for row in packed], dim=1)[:, None],
        use_cache=False,
        **pictures,
    ).logits
    return output[0]


def _row(processor: Any, rng: np.random.Generator, height: int, width: int, reply: int) -> Row:
    content: list[dict[str, str]] = [{"type": "image"}] if height else []
    content.append({"type": "text", "text": "which view is this ?"})
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    images = [Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))] if height else None
    inputs = processor(text=[text], images=images, return_tensors="pt")
    pictures = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
    ids = torch.cat([inputs["input_ids"][0], torch.tensor(rng.integers(5, 700, reply))])
    kinds = (
        {"mm_token_type_ids": (ids == processor.image_token_id).long()[None]} if "mm_token_type_ids" in inputs else {}
    )
    spatial, _ = processor.get_rope_index(
        input_ids=ids[None],
        attention_mask=torch.ones_like(ids)[None],
        image_grid_thw=pictures.get("image_grid_thw"),
        video_grid_thw=None,
        **kinds,
    )
    positions = torch.cat([torch.arange(len(ids))[None], spatial[:, 0]])
    return Row(ids, positions, pictures)
