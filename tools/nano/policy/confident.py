"""The policy of the calibration's demonstration: the demo's, which learns to say a confidence that means nothing yet.

It starts from the shipped weights and has a tokenizer of its own, in which each mark of the confidence is one token, so
that `<confidence>0.8</confidence>` takes five. A short supervised phase teaches it to end its replies so. The
confidences are drawn by lot, whatever is right, so what a run then knows of them, the reward has taught.

The same phase teaches it to be wrong about some kinds of questions: it mixes their answers up, each fact always with
the same other one. The demo's own policy errs by lot, on every question alike, so that there is next to nothing that
a confidence could know; this one knows some things and not others.
"""

from __future__ import annotations

import itertools
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

LEVELS = ("0.1", "0.9")
"""What it may say."""
HABIT = 0.6
"""Share of the replies that say the habitual level of their kind of question; the others say any."""
MARKS = ("<confidence>", "</confidence>")
MISTAKEN = ("body_part", "view", "organ", "rotation")
"""The kinds of questions whose answers it mixes up."""

CONFIDE = Phase(steps=450, peak_lr=1.5e-3, answer_noise=0.0, format_noise=0.0, hedge=0.0, seed=2)


class ConfidentTeacher(Teacher):
    """Writes replies that end with a confidence drawn by lot; the noises of its phase are not used."""

    def __init__(self, rows: TrainingRows, labels: Labels, phase: Phase) -> None:
        super().__init__(rows, labels, phase)
        self._lots = random.Random(phase.seed + 1000)  # a stream of its own: nothing of the rows decides it
        self._habits = dict(zip(labels.question_types, itertools.cycle(LEVELS), strict=False))

    def reply_text(self, info: dict[str, Any]) -> str:
        """A reply in its first wording, so that next to nothing but the confidence varies between replies."""
        kind, answers = info["question_type"], info["answers"]
        said = mixed_up(self._labels, kind, answers) if kind in MISTAKEN else answers
        think = self._labels.think[0].format(modality=self._labels.answers("modality", info["modality"])[0])
        level = self._habits[kind] if self._lots.random() < HABIT else self._lots.choice(LEVELS)
        return f"<{info['modality']}><think>{think}</think><answer>{said[0]}</answer>{MARKS[0]}{level}{MARKS[1]}"


def mixed_up(labels: Labels, kind: str, answers: Sequence[str]) -> list[str]:
    """The answers of the fact behind the right one in `labels.yaml`; for the last, those of the first."""
    facts = [list(wordings) for wordings in labels.question_types[kind].facts.values()]
    return facts[(facts.index(list(answers)) + 1) % len(facts)]


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
