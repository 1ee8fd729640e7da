"""Rows of the demo as tensors: prompts and pictures are processed once, then padded into batches."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import Qwen3VLProcessor


class EncodedRows:
    """All rows of one parquet file, encoded by the policy's processor."""

    def __init__(self, rows: Sequence[dict[str, Any]], processor: Qwen3VLProcessor) -> None:
        self.rows = rows
        self.tokenizer = processor.tokenizer
        encoded = [_encode(row, processor) for row in rows]
        self.prompts: list[list[int]] = [e["input_ids"][0].tolist() for e in encoded]
        self._types: list[list[int]] = [e["mm_token_type_ids"][0].tolist() for e in encoded]
        self._pixels: list[torch.Tensor] = [e["pixel_values"] for e in encoded]
        self._grids: list[torch.Tensor] = [e["image_grid_thw"] for e in encoded]

    def __len__(self) -> int:
        return len(self.rows)

    def for_generation(self, indices: Sequence[int], pictures: Sequence[int]) -> dict[str, torch.Tensor]:
        """A left-padded batch of the prompts `indices`, each with the picture of the row in `pictures`."""
        return self._inputs(indices, [self.prompts[i] for i in indices], pictures, left=True)

    def _inputs(
        self, indices: Sequence[int], sequences: list[list[int]], pictures: Sequence[int], *, left: bool
    ) -> dict[str, torch.Tensor]:
        types = [self._types[i] + [0] * (len(s) - len(self._types[i])) for i, s in zip(indices, sequences, strict=True)]
        return {
            "input_ids": pad(sequences, self.tokenizer.pad_token_id, left=left),
            "attention_mask": pad([[1] * len(s) for s in sequences], 0, left=left),
            "mm_token_type_ids": pad(types, 0, left=left),
            "pixel_values": torch.cat([self._pixels[i] for i in pictures]),
            "image_grid_thw": torch.cat([self._grids[i] for i in pictures]),
        }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a parquet file of the demo as plain dictionaries."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _encode(row: dict[str, Any], processor: Qwen3VLProcessor) -> Any:
    question = row["extra_info"]["question"]
    content = [{"type": "image"}, {"type": "text", "text": question}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    picture = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    return processor(text=[prompt], images=[picture], return_tensors="pt")


def pad(sequences: list[list[int]], filler: int, *, left: bool) -> torch.Tensor:
    """Pad lists of token ids on one side to a tensor of shape (sequences, longest)."""
    length = max(map(len, sequences))
    padded = []
    for sequence in sequences:
        padding = [filler] * (length - len(sequence))
        padded.append(padding + sequence if left else sequence + padding)
    return torch.tensor(padded)
