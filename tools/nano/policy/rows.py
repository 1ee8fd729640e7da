"""The demo's rows as training batches: prompts with replies, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medix_r1.demo.batches import EncodedRows, pad

IGNORED = -100
"""The label that cross entropy ignores."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Model inputs, and labels of shape (batch, length): the reply's tokens, `IGNORED` elsewhere."""

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor


class TrainingRows(EncodedRows):
    """Encoded rows that can be batched with replies."""

    def for_training(self, indices: Sequence[int], replies: Sequence[list[int]]) -> Batch:
        """Concatenate prompts and replies, padded on the right."""
        sequences = [self.prompts[i] + reply for i, reply in zip(indices, replies, strict=True)]
        labels = [[IGNORED] * len(self.prompts[i]) + reply for i, reply in zip(indices, replies, strict=True)]
        return Batch(self._inputs(indices, sequences, indices, left=False), pad(labels, IGNORED, left=False))
