"""Log-probabilities are computed in a fixed number of chunks, where flash-attn's kernel is missing.

Upstream: without flash-attn verl 0.9.1 loops in Python over every row of the packed logits, one token each: with the
recipes' 16,896 rows, tens of thousands of operator calls for each micro-batch, forward and backward.

See it: docs/upstream/log_prob_rows.py

Here: 16 chunks, whatever the number of rows. Each is computed in float32 and not kept: the backward pass computes the
softmax again from the logits and the saved normaliser.

Goes when: the script says that the number of calls does not depend on the rows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from verl.utils import torch_functional

from medix_r1.training.verl_plugin.patches.replacing import replace_once

_CHUNKS = 16


def install() -> None:
    """Replace verl's `logprobs_from_logits_v2`; a second call does nothing."""

    def chunked(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def log_probs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            flat: torch.Tensor = _LogProbs.apply(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))
            return flat.view(labels.shape)

        return log_probs

    replace_once(torch_functional, "logprobs_from_logits_v2", chunked)


class _LogProbs(torch.autograd.Function):
    """Log-softmax at the labels; logits (rows, vocabulary), labels (rows,); float32, or the logits' wider dtype."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        wide = torch.promote_types(logits.dtype, torch.float32)
        normaliser = torch.empty(len(labels), dtype=wide, device=logits.device)
        log_probs = torch.empty_like(normaliser)
        for part in _parts(len(labels)):
            rows = logits[part].to(wide)
            normaliser[part] = rows.logsumexp(-1)
            log_probs[part] = rows.gather(-1, labels[part, None]).squeeze(-1) - normaliser[part]
        ctx.save_for_backward(logits, labels, normaliser)
        return log_probs

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = gradients
        logits, labels, normaliser = ctx.saved_tensors
        result = torch.empty_like(logits)
        for part in _parts(len(labels)):
            of_part = gradient[part, None]
            rows = (logits[part].to(normaliser.dtype) - normaliser[part, None]).exp_().mul_(-of_part)
            result[part] = rows.scatter_add_(-1, labels[part, None], of_part.to(rows.dtype))
        return result, None


def _parts(rows: int) -> Iterator[slice]:
    size = -(-rows // _CHUNKS)
    yield from (slice(start, start + size) for start in range(0, rows, max(size, 1)))
