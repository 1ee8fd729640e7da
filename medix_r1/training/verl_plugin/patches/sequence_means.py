"""Means over sequences divide by the number of real sequences, without padding.

Upstream: verl 0.9.1 divides a mean over sequences by `global_batch_size`, the configured size of a mini-batch. Rows of
padding (verl's own, in place of removed samples) count in it, although they hold no token of a reply. The gradient of
every loss that is a mean over sequences (GSPO, SAPO, Dr. GRPO, RLOO) shrinks with the share of padding; that of a mean
over tokens does not, because it divides by the number of real tokens.

See it: docs/upstream/sequence_means.py

Here: each rank counts the sequences that hold response tokens, and the sum over ranks is the denominator.

Goes when: the script says that padding does not change the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from verl.utils import tensordict_utils
from verl.utils.device import get_device_id
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead


class SequenceMeans(FSDPEngineWithLMHead):
    """verl's FSDP engine, with the number of real sequences as the denominator of sequence means."""

    def forward_backward_batch(self, data: Any, loss_function: Callable[..., Any], forward_only: bool = False) -> Any:
        """Run one mini-batch; sequence means divide by the sequences with response tokens on all ranks."""
        if not forward_only and "loss_mask" in data:
            tensordict_utils.assign_non_tensor(data, global_batch_size=self._sequences_with_loss(data["loss_mask"]))
        return super().forward_backward_batch(data, loss_function, forward_only)

    def _sequences_with_loss(self, loss_mask: torch.Tensor) -> int:
        count = torch.tensor(sum(int(row.any()) for row in loss_mask.unbind()), device=get_device_id())
        torch.distributed.all_reduce(count, group=self.get_data_parallel_group())
        return max(1, int(count.item()))  # only padding on all ranks: the loss is 0, not NaN
