"""The attention `torch_varlen`: packed rows without flash-attn, and without a mask over all tokens of a micro-batch.

`actor_rollout_ref.model.override_config.attn_implementation=torch_varlen` takes torch's own varlen kernel on CUDA
(`torch.nn.attention.varlen`, which ships with torch), in bf16 and fp16. Elsewhere a stand-in runs torch's
scaled-dot-product attention on one row after the other. The kernel has not run for us yet (docs/gpu.md).

transformers calls a registered attention function for each layer, and a mask function once. verl packs the rows of a
micro-batch into one of batch size 1, whose position ids count up within each row.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "torch_varlen"


def register() -> None:
    """Make the name known to transformers."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask)


def mask(*, batch_size: int, attention_mask: torch.Tensor | None = None, **settings: Any) -> torch.Tensor | None:
    """sdpa's mask for padded rows; none for packed rows, whose bounds the position ids tell."""
    if batch_size == 1 and attention_mask is None:
        return None
    return sdpa_mask(batch_size=batch_size, attention_mask=attention_mask, **settings)


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_ids: torch.Tensor | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each packed row; anything but packed causal rows is sdpa's.

    Args:
        module: the layer; `num_key_value_groups` query heads share a key head.
        query: (1, heads, tokens, size).
        key: like query, with fewer heads.
        value: like key.
        attention_mask: what `mask` returned.
        scaling: factor of the scores.
        is_causal: whether tokens look back only; by default what the layer says.
        position_ids: (1, tokens), counting up by one within each row.
        settings: for sdpa.

    Returns:
        The result, (1, tokens, heads, size), and no weights.
    """
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    packed = attention_mask is None and causal and len(query) == 1 and query.shape[2] == key.shape[2]
    if not packed or position_ids is None or position_ids.dim() != 2:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal, **settings
        )
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    starts = row_starts(position_ids[0])
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _kernel(query, key, value, starts, scaling), None
    return _row_by_row(query, key, value, starts, scaling), None


def row_starts(position_ids: torch.Tensor) -> torch.Tensor:
    """Where each row begins, and the number of tokens; int32, (rows + 1,)."""
    begins = torch.ones_like(position_ids, dtype=torch.bool)
    begins[1:] = position_ids.diff() != 1
    ends = torch.tensor([len(position_ids)], dtype=torch.int32, device=position_ids.device)
    return torch.cat([begins.nonzero().flatten().to(torch.int32), ends])


def _kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    longest = int(starts.diff().max())
    rows = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))  # (tokens, heads, size)
    result: torch.Tensor = varlen_attn(*rows, starts, starts, longest, longest, scale=scaling, window_size=(-1, 0))
    return result[None]


def _row_by_row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    rows = []
    for start, end in pairwise(starts.tolist()):
        q, k, v = (tensor[:, :, start:end] for tensor in (query, key, value))
        rows.append(functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling))
    return torch.cat(rows, dim=2).transpose(1, 2).contiguous()
