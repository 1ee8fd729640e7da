"""The policy of the calibration's demonstration: the demo's, which learns to say a confidence that means nothing yet.

It starts from the shipped weights and has a tokenizer of its own, in which each mark of the confidence is one token, so
that `<confidence>0.8</confidence>` takes five. A short supervised phase teaches it to end its replies so. The
confidences are drawn by lot, whatever is right, so what a run then knows of them, the reward has taught.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from medix_r1.demo.replies import load_policy
from medix_r1.demo.rows.labels import Labels
from tools.nano.deterministic import deterministic
from tools.nano.policy.model import make_processor
from tools.nano.policy.rows import TrainingRows
from tools.nano.policy.warm_start import Phase, Teacher, train_with

LEVELS = ("0.1", "0.3", "0.5", "0.7", "0.9")
"""What it may say, each as often as the others."""
MARKS = ("<confidence>", "</confidence>")


CONFIDE = Phase(steps=150, peak_lr=1e-3, answer_noise=0.10, format_noise=0.02, hedge=0.0, seed=2)


class ConfidentTeacher(Teacher):
    """Ends each reply with a confidence that was drawn by lot."""

    def __init__(self, rows: TrainingRows, labels: Labels, phase: Phase) -> None:
        super().__init__(rows, labels, phase)
        self._lots = random.Random(phase.seed + 1000)  # a stream of its own: nothing of the rows decides it

    def reply_text(self, info: dict[str, Any]) -> str:
        return f"{super().reply_text(info)}{MARKS[0]}{self._lots.choice(LEVELS)}{MARKS[1]}"


def with_marks(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer with a token for each mark; not special ones, which decoding would strip."""
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    return tokenizer


@deterministic()
def trained(
    start: Path, rows: Sequence[dict[str, Any]], labels: Labels, advance: Callable[[str], None] = lambda _: None
) -> tuple[Qwen3VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """Train the policy; return it in float32 with its tokenizer.

    Args:
        start: the demo's policy, as a float32 folder; it is only read.
        rows: of the demo's `train.parquet`.
        labels: that the rows were made from.
        advance: called after each step with the loss as text.
    """
    torch.manual_seed(CONFIDE.seed)  # the new rows of both embeddings are drawn
    tokenizer = with_marks(AutoTokenizer.from_pretrained(start))
    policy = load_policy(start)
    policy.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    encoded = TrainingRows(rows, make_processor(tokenizer))
    teacher = ConfidentTeacher(encoded, labels, CONFIDE)
    train_with(policy, teacher, CONFIDE, lambda loss: advance(f"loss {loss:.2f}"))
    return policy, tokenizer
