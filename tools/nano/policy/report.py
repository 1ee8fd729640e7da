"""Measures a nano policy without judge or embedder: exact accuracy, format and tag, sampled or greedy.

`python -m tools.nano report policy` writes the figures that docs/demo.md quotes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from medix_r1.demo.batches import EncodedRows, read_rows
from medix_r1.demo.replies import load_policy
from medix_r1.demo.rows import labels as label_file
from medix_r1.grammar import parse_completion
from medix_r1.wording.spelling import normalize_answer

MAX_NEW_TOKENS = 40
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Measurement:
    """Means over all replies. `overall` is the composite with exact match in place of judge and embedder."""

    accuracy: float
    format: float
    tag: float
    hedged: float
    reply_tokens: float

    @property
    def overall(self) -> float:
        return 0.855 * self.accuracy + 0.10 * self.format + 0.045 * self.tag


def measure(
    model: Qwen3VLForConditionalGeneration,
    rows: EncodedRows,
    *,
    hedges: Sequence[str],
    samples: int = 1,
    temperature: float = 0.0,
    shuffled: bool = False,
    seed: int = 0,
) -> Measurement:
    """Generate and score replies to every row.

    Args:
        model: the policy.
        rows: the questions.
        hedges: answers that count as hedging.
        samples: replies per row.
        temperature: 0 decodes greedily.
        shuffled: give each question another row's picture, to measure whether the policy uses the picture.
        seed: of sampling.
    """
    indices = [i for i in range(len(rows)) for _ in range(samples)]
    pictures = _other_pictures(len(rows)) if shuffled else list(range(len(rows)))
    torch.manual_seed(seed)
    replies: list[str] = []
    for start in range(0, len(indices), _BATCH):
        part = indices[start : start + _BATCH]
        inputs = rows.for_generation(part, [pictures[i] for i in part])
        replies += _generate(model, inputs, rows.tokenizer, temperature)
    return _score([rows.rows[i] for i in indices], replies, rows.tokenizer, hedges)


def _other_pictures(count: int) -> list[int]:
    order = list(range(count))
    random.Random(1).shuffle(order)
    return order


def _generate(
    model: Qwen3VLForConditionalGeneration, inputs: dict[str, torch.Tensor], tokenizer: Any, temperature: float
) -> list[str]:
    model.eval()
    sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
    if temperature:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, **sampling)
    texts: list[str] = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def _score(rows: list[dict[str, Any]], replies: list[str], tokenizer: Any, hedges: Sequence[str]) -> Measurement:
    hits, formats, tags, hedged, lengths = [], [], [], [], []
    vague = {normalize_answer(hedge) for hedge in hedges}
    for row, reply in zip(rows, replies, strict=True):
        completion = parse_completion(reply)
        answer = normalize_answer(completion.answer or "")
        hits.append(answer in {normalize_answer(a) for a in row["extra_info"]["answers"]})
        formats.append(completion.well_formed)
        tags.append(completion.modality == row["extra_info"]["modality"])
        hedged.append(answer in vague)
        lengths.append(len(tokenizer(reply).input_ids) + 1)
    count = len(replies)
    return Measurement(
        sum(hits) / count, sum(formats) / count, sum(tags) / count, sum(hedged) / count, sum(lengths) / count
    )


def measure_all(policy: Path, data: Path) -> list[dict[str, Any]]:
    """Measure a policy on both held-out sets: sampled, greedy, and greedy with shuffled pictures.

    Args:
        policy: the policy's folder.
        data: folder with the demo's parquet files.

    Returns:
        The rows of the table in docs/demo.md.
    """
    model, processor = load_policy(policy), AutoProcessor.from_pretrained(policy)
    hedges, found = label_file.load().hedges, []
    for part in ("heldout_views", "heldout_sources"):
        rows = EncodedRows(read_rows(data / f"{part}.parquet"), processor)
        measured = {
            "T=1, n=5": measure(model, rows, hedges=hedges, samples=5, temperature=1.0),
            "greedy": measure(model, rows, hedges=hedges),
            "greedy, shuffled": measure(model, rows, hedges=hedges, shuffled=True),
        }
        for decoding, one in measured.items():
            shares = {name: round(getattr(one, name), 6) for name in ("overall", "accuracy", "format", "tag", "hedged")}
            found.append({"set": part, "decoding": decoding, **shares})
    return found
