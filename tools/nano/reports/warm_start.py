"""The warm start of reports: the demo's policy learns to write two sentences, and to be vague in most of them.

As in the demo, RL then has something to do: drop the vague sentences and the padding, and commit to what is known.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from medix_r1.demo.batches import read_rows
from medix_r1.demo.replies import load_policy
from medix_r1.demo.rows.labels import Labels
from tools.nano.deterministic import deterministic
from tools.nano.policy.rows import TrainingRows
from tools.nano.policy.warm_start import Phase, Teacher, train_with
from tools.nano.reports.rows import kinds_of, report_of

LEARN = Phase(steps=200, peak_lr=1e-3, answer_noise=0.25, format_noise=0.10, hedge=0.0, seed=0)
HEDGE = Phase(steps=40, peak_lr=5e-4, answer_noise=0.25, format_noise=0.10, hedge=0.45, seed=1)
TOTAL_STEPS = LEARN.steps + HEDGE.steps
PADDED = 0.35  # of the reports end with sentences that say nothing
NEW_TOKENS = 40  # a report may have so many tokens more than the demo's answers


class ReportTeacher(Teacher):
    """Writes reports with the phase's noise: wrong or vague sentences in place of right ones, and vague ones behind."""

    def _answer(self, info: dict[str, Any]) -> str:
        source = next(one for one in self._labels.sources if one.id == info["source"])
        sentences = [self._sentence(kind, source.facts[kind]) for kind in kinds_of(source)]
        if self._rng.random() < PADDED:
            sentences += [self._rng.choice(self._labels.hedges) for _ in range(self._rng.randint(1, 2))]
        return report_of(*sentences)

    def _sentence(self, kind: str, fact: str) -> str:
        rng: random.Random = self._rng
        if rng.random() < self._phase.hedge:
            return self._labels.hedges[0]
        if rng.random() < self._phase.answer_noise:
            fact = rng.choice(sorted(self._labels.question_types[kind].facts))
        return rng.choice(self._labels.answers(kind, fact))


@deterministic()
def trained(
    rows: Path, policy: Path, labels: Labels, advance: Callable[[str], None] = lambda _: None
) -> tuple[Qwen3VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """Train the demo's policy on reports; return it in float32 with its tokenizer.

    Args:
        rows: parquet file of reports to train on.
        policy: folder of the demo's policy.
        labels: that the rows were made from.
        advance: called after each of `TOTAL_STEPS` steps with the loss as text.
    """
    processor, model = AutoProcessor.from_pretrained(policy), load_policy(policy)
    encoded = TrainingRows(read_rows(rows), processor)
    for phase in (LEARN, HEDGE):
        train_with(model, ReportTeacher(encoded, labels, phase), phase, lambda loss: advance(f"loss {loss:.2f}"))
    return model, processor.tokenizer
