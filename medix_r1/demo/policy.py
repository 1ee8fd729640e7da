"""Builds the nano policy's folder: from the shipped weights, or by training it again from the demo's rows."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import torch
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from medix_r1.demo import nano_model, warm_start
from medix_r1.demo.batches import EncodedRows, read_rows
from medix_r1.demo.labels import Labels
from medix_r1.demo.tokenizer import make_tokenizer

Advance = Callable[[str], None]


def shipped_weights() -> Path:
    """Return the weights file that comes with the package."""
    with as_file(files(__package__) / "weights" / "policy.safetensors") as path:
        return path


def build_policy(folder: Path, labels: Labels) -> None:
    """Write the policy's folder from the shipped weights; nothing is trained."""
    tokenizer = make_tokenizer(labels)
    model = nano_model.make_model(tokenizer)
    nano_model.load_weights(shipped_weights(), model, tokenizer)
    nano_model.save_folder(folder, model, tokenizer)


def train_policy(folder: Path, train_file: Path, labels: Labels, advance: Advance = lambda _: None) -> None:
    """Train the policy from scratch and write its folder.

    Args:
        folder: where to.
        train_file: the demo's `train.parquet`.
        labels: the labels the rows were made from.
        advance: called after each of `warm_start.TOTAL_STEPS` steps with a word on how it stands.
    """
    with warm_start.deterministic():
        tokenizer = make_tokenizer(labels)
        rows = EncodedRows(read_rows(train_file), nano_model.make_processor(tokenizer))
        model = nano_model.make_model(tokenizer)
        for phase in (warm_start.LEARN, warm_start.HEDGE):
            warm_start.train(model, rows, labels, phase, lambda loss: advance(f"loss {loss:.2f}"))
    nano_model.round_to_bfloat16(model)
    nano_model.save_folder(folder, model, tokenizer)


def load_policy(folder: Path) -> Qwen3VLForConditionalGeneration:
    """Load a policy's folder in float32, whether it was built here or merged from an RL checkpoint."""
    return Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")


def export_policy(folder: Path, weights: Path) -> None:
    """Write the weights file to ship from a folder that `train_policy` made (exact: it holds bfloat16 values)."""
    nano_model.export_weights(weights, load_policy(folder), AutoProcessor.from_pretrained(folder).tokenizer)
