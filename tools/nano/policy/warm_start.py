"""The nano policy's supervised warm start, in two phases: learn to answer, then learn to hedge.

Phase 1 teaches format, tags and answers from a noisy teacher. Phase 2 shifts the answers towards one hedge ("not
sure"), so that RL has something to improve: the policy knows answers but rarely commits to one. RL then teaches it to
commit, not medicine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from medix_r1.demo.rows.labels import Labels
from medix_r1.grammar import ModalityTag
from tools.nano.deterministic import deterministic
from tools.nano.policy.model import make_model, make_processor
from tools.nano.policy.rows import IGNORED, TrainingRows
from tools.nano.policy.tokenizer import make_tokenizer


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the warm start. The noises are probabilities per example."""

    steps: int
    peak_lr: float
    answer_noise: float  # of a random answer of the same question type, or a random hedge
    format_noise: float  # of a reply with a part of the format missing; a wrong tag has half of it
    hedge: float  # of the first hedge instead of any answer
    seed: int
    batch: int = 32
    warmup_steps: int = 30


LEARN = Phase(steps=600, peak_lr=2e-3, answer_noise=0.30, format_noise=0.12, hedge=0.0, seed=0)
HEDGE = Phase(steps=60, peak_lr=5e-4, answer_noise=0.30, format_noise=0.10, hedge=0.45, seed=1)
TOTAL_STEPS = LEARN.steps + HEDGE.steps


@deterministic()
def trained(
    rows: Sequence[dict[str, Any]], labels: Labels, advance: Callable[[str], None] = lambda _: None
) -> tuple[Qwen3VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """Train a policy from scratch; return it in float32 with its tokenizer.

    Args:
        rows: of the demo's `train.parquet`.
        labels: that the rows were made from.
        advance: called after each of `TOTAL_STEPS` steps with the loss as text.
    """
    tokenizer = make_tokenizer(labels)
    encoded = TrainingRows(rows, make_processor(tokenizer))
    policy = make_model(tokenizer)
    for phase in (LEARN, HEDGE):
        train(policy, encoded, labels, phase, lambda loss: advance(f"loss {loss:.2f}"))
    return policy, tokenizer


def train(
    model: Qwen3VLForConditionalGeneration,
    rows: TrainingRows,
    labels: Labels,
    phase: Phase,
    advance: Callable[[float], None] = lambda _: None,
) -> None:
    """Train one phase in place; `advance` gets each step's loss."""
    train_with(model, Teacher(rows, labels, phase), phase, advance)


def train_with(
    model: Qwen3VLForConditionalGeneration,
    teacher: Teacher,
    phase: Phase,
    advance: Callable[[float], None] = lambda _: None,
) -> None:
    """Train one phase in place on the replies of a teacher; `advance` gets each step's loss."""
    torch.manual_seed(phase.seed)
    optimizer = _optimizer(model, phase.peak_lr)
    model.train()
    for step in range(phase.steps):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(phase, step)
        advance(_step(model, optimizer, *teacher.next_batch()))


class Teacher:
    """Draws rows without replacement and writes a noisy target reply for each."""

    def __init__(self, rows: TrainingRows, labels: Labels, phase: Phase) -> None:
        self._rows, self._labels, self._phase = rows, labels, phase
        self._rng = random.Random(phase.seed)
        self._order: list[int] = []
        self._by_type: dict[str, list[list[str]]] = {}
        for row in rows.rows:
            info = row["extra_info"]
            self._by_type.setdefault(info["question_type"], []).append(info["answers"])

    def next_batch(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the next batch's inputs and labels."""
        if len(self._order) < self._phase.batch:
            self._order = list(range(len(self._rows)))
            self._rng.shuffle(self._order)
        indices = [self._order.pop() for _ in range(self._phase.batch)]
        batch = self._rows.for_training(indices, [self._reply(self._rows.rows[i]) for i in indices])
        return batch.inputs, batch.labels

    def _reply(self, row: dict[str, Any]) -> list[int]:
        tokenizer = self._rows.tokenizer
        ids: list[int] = tokenizer(self.reply_text(row["extra_info"]), add_special_tokens=False).input_ids
        return [*ids, tokenizer.eos_token_id]

    def reply_text(self, info: dict[str, Any]) -> str:
        """Write a target reply to a row, with the phase's noise."""
        rng, phase = self._rng, self._phase
        tag = info["modality"]
        answer = self._answer(info)
        sentence = rng.choice(self._labels.think)
        think = sentence.format(modality=rng.choice(self._labels.answers("modality", tag)))
        if rng.random() < phase.format_noise / 2:
            tag = rng.choice([t.value for t in ModalityTag if t in self._labels.question_types["modality"].facts])
        if rng.random() >= phase.format_noise:
            return f"<{tag}><think>{think}</think><answer>{answer}</answer>"
        broken = [
            f"<think>{think}</think><answer>{answer}</answer>",
            f"<{tag}><think>{think}</think>{answer}",
            f"<{tag}><answer>{answer}</answer>",
            answer,
            f"<{tag}><think>{think}<answer>{answer}</answer>",
        ]
        return rng.choice(broken)

    def _answer(self, info: dict[str, Any]) -> str:
        rng, phase = self._rng, self._phase
        if rng.random() < phase.hedge:
            return self._labels.hedges[0]
        if rng.random() >= phase.answer_noise:
            return rng.choice(info["answers"])
        if rng.random() < 0.5:
            return rng.choice(self._labels.hedges)
        return rng.choice(rng.choice(self._by_type[info["question_type"]]))


def _optimizer(model: Qwen3VLForConditionalGeneration, lr: float) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))


def _learning_rate(phase: Phase, step: int) -> float:
    decay = 0.05 + 0.95 * (1 - step / phase.steps)
    return phase.peak_lr * min(1.0, (step + 1) / phase.warmup_steps) * decay


def _step(
    model: Qwen3VLForConditionalGeneration,
    optimizer: torch.optim.Optimizer,
    inputs: dict[str, torch.Tensor],
    labels: torch.Tensor,
) -> float:
    logits = model(**inputs).logits
    loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())
