"""Generates a policy's replies to a held-out set, sampled or greedy, with each row's picture or with another row's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3VLForConditionalGeneration

from medix_r1.demo.batches import EncodedRows
from medix_r1.demo.result import DECODINGS

SAMPLES = {"sampled": 5, "greedy": 1}
assert SAMPLES.keys() == DECODINGS.keys()
_BATCH = 128
_SAMPLING: dict[str, dict[str, Any]] = {
    "sampled": {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0},
    "greedy": {"do_sample": False, "temperature": None, "top_k": None, "top_p": None},
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to one row; `cut` means that it ended at the length limit."""

    row: int
    text: str
    cut: bool


def load_policy(folder: Path) -> Qwen3VLForConditionalGeneration:
    """Load a policy's folder in float32, whether it was built here or merged from an RL checkpoint."""
    return Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")


def answer_all(
    model: Any, rows: EncodedRows, decoding: str, *, max_new_tokens: int, seed: int, shuffled: bool = False
) -> list[Reply]:
    """Answer every row, `SAMPLES[decoding]` times.

    Args:
        model: the policy.
        rows: the questions.
        decoding: a key of `DECODINGS`.
        max_new_tokens: length limit of a reply.
        seed: of sampling; on one machine the same seed gives the same replies.
        shuffled: give each question another row's picture, to measure whether the policy uses the picture.
    """
    indices = [i for i in range(len(rows)) for _ in range(SAMPLES[decoding])]
    pictures = other_pictures(rows.rows) if shuffled else list(range(len(rows)))
    torch.manual_seed(seed)
    model.eval()
    replies: list[Reply] = []
    for start in range(0, len(indices), _BATCH):
        part = indices[start : start + _BATCH]
        inputs = rows.for_generation(part, [pictures[i] for i in part])
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=max_new_tokens, **_SAMPLING[decoding])
        tokens = output[:, inputs["input_ids"].shape[1] :]
        texts = rows.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        ended = (tokens == rows.tokenizer.eos_token_id).any(dim=1).tolist()
        replies += [Reply(i, text, not end) for i, text, end in zip(part, texts, ended, strict=True)]
    return replies


def other_pictures(rows: Sequence[dict[str, Any]]) -> list[int]:
    """A permutation of the rows in which, if possible, no row gets a picture of its own source."""
    sources = [row["extra_info"]["source"] for row in rows]
    generator = random.Random(1)
    order = list(range(len(rows)))
    generator.shuffle(order)
    for place in range(len(order)):
        if sources[order[place]] != sources[place]:
            continue
        fitting = [
            other
            for other in range(len(order))
            if sources[order[other]] != sources[place] and sources[order[place]] != sources[other]
        ]
        if fitting:  # none if too many rows share one source
            other = generator.choice(fitting)
            order[place], order[other] = order[other], order[place]
    return order
