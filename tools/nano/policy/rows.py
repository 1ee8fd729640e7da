"""The demo's rows as batches to train on: prompts with their replies, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medix_r1.demo.batches import EncodedRows, pad

IGNORED = -100
"""The label that cross entropy skips."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What the model takes, and the labels of its replies (`IGNORED` elsewhere)."""

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor


class TrainingRows(EncodedRows):
    """Encoded rows that can be joined with replies."""

    def for_training(self, indices: Sequence[int], replies: Sequence[list[int]]) -> Batch:
        """Join prompts and replies, padded on the right."""
        sequences = [self.prompts[i] + reply for i, reply in zip(indices, replies, strict=True)]
        labels = [[IGNORED] * len(self.prompts[i]) + reply for i, reply in zip(indices, replies, strict=True)]
        return Batch(self._inputs(indices, sequences, indices, left=False), pad(labels, IGNORED, left=False))
