"""What replaces a kernel or a data-dependent step under fake tensors, with outputs and saved tensors of equal sizes.

Fake tensors have shapes and no values: a kernel of CUDA has no shapes here, and code that asks for a value (a picture's
size, the number of image tokens) has no answer. Everything else runs as it is: verl's engine, transformers' layers,
FSDP2, autograd, checkpointing, the optimizer.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from medix_r1.training.simulation.asked import DENSE, PACKED


class _Attention(torch.autograd.Function):
    """Keeps what the kernel keeps; `mask` may be None."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
        out = torch.empty_like(query)
        rows = torch.empty(query.shape[:3], dtype=torch.float32, device=query.device)
        ctx.save_for_backward(query, key, value, out, rows, mask)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        query, key, value, *_ = ctx.saved_tensors
        collected = torch.empty_like(query, dtype=torch.float32)  # both kernels collect dq in fp32
        gradients = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        del collected
        return *gradients, None


def _packed_attention(module: Any, query: Any, key: Any, value: Any, mask: Any, **_: Any) -> Any:
    return _Attention.apply(query, key, value, None).transpose(1, 2).contiguous(), None


def _dense_attention(module: Any, query: Any, key: Any, value: Any, mask: Any, **_: Any) -> Any:
    repeats = query.shape[1] // key.shape[1]
    if mask is not None:
        mask = torch.empty(mask.shape, dtype=query.dtype, device=query.device)  # added to the scores, so not boolean
        if repeats > 1:
            key, value = (_repeated(tensor, repeats) for tensor in (key, value))
    return _Attention.apply(query, key, value, mask).transpose(1, 2).contiguous(), None


def _repeated(tensor: Any, times: int) -> Any:
    rows, heads, length, dim = tensor.shape
    return tensor[:, :, None].expand(rows, heads, times, length, dim).reshape(rows, heads * times, length, dim)


class _InPlaceCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Any, labels: Any, in_place: bool) -> Any:
        rows = torch.empty(logits.shape[0], dtype=torch.float32, device=logits.device)
        ctx.in_place = in_place
        ctx.save_for_backward(logits, rows, labels)
        return torch.empty_like(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        logits = ctx.saved_tensors[0]
        return logits if ctx.in_place else torch.empty_like(logits), None, None


def _flash_cross_entropy(logits: Any, labels: Any, inplace_backward: bool = False, **_: Any) -> Any:
    return _InPlaceCrossEntropy.apply(logits, labels, inplace_backward), None


class _FusedRows(torch.autograd.Function):
    """One number a row; the backward pass makes the gradient of the logits from the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Any) -> Any:
        ctx.save_for_backward(logits)
        return torch.empty(logits.shape[:-1], dtype=torch.float32, device=logits.device)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return torch.empty_like(ctx.saved_tensors[0])


def compiled_entropy(logits: Any, **_: Any) -> Any:
    """Entropy of each row, as torch.compile fuses it."""
    return _FusedRows.apply(logits)


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """CUDA's autocast computes layer norms in fp32, the CPU's does not; the rest of its list is cast in code."""
    before = F.layer_norm

    def layer_norm(inputs: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        if torch.is_autocast_enabled("cpu"):
            inputs, weight, bias = (None if one is None else one.float() for one in (inputs, weight, bias))
        return before(inputs, shape, weight, bias, eps)

    F.layer_norm = layer_norm  # type: ignore[assignment]
    try:
        yield
    finally:
        F.layer_norm = before


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a micro-batch.

    Attributes:
        grids: of each, patches by time, height and width.
        token: id of the tokens that stand for pictures.
        tokens: their number.
    """

    grids: tuple[tuple[int, int, int], ...]
    tokens: int

    @property
    def patches(self) -> int:
        return sum(time * high * wide for time, high, wide in self.grids)


class Shapes:
    """The sizes of the current micro-batch, for the code that would look at values."""

    def __init__(self) -> None:
        self.pictures = Pictures((), 0)
        self.dense_mask = False  # a mask of all rows against all is made and kept
        self.padded_rows = 0


def install_attention() -> None:
    """Register both attention implementations with transformers."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    for name, function in ((PACKED, _packed_attention), (DENSE, _dense_attention)):
        ALL_ATTENTION_FUNCTIONS[name] = function
        ALL_MASK_ATTENTION_FUNCTIONS[name] = lambda *_, **__: None


def install_values(shapes: Shapes) -> None:
    """Replace what looks at values: in transformers' three families, and in verl's patches of them."""
    import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl as qwen2_5
    import transformers.models.qwen3_vl.modeling_qwen3_vl as qwen3
    import transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe as qwen3_moe
    import verl.models.transformers.qwen2_vl as verl_qwen2
    import verl.models.transformers.qwen3_vl as verl_qwen3

    for module in (qwen3, qwen3_moe, qwen2_5):
        _install_grids(module, shapes)
    towers = (
        qwen3.Qwen3VLVisionAttention,
        qwen3_moe.Qwen3VLMoeVisionAttention,
        qwen2_5.Qwen2_5_VLVisionAttention,
    )
    for tower, module in zip(towers, (qwen3, qwen3_moe, qwen2_5), strict=True):
        tower.forward = functools.partialmethod(_tower_attention, module.apply_rotary_pos_emb_vision)
    for text in (qwen3.Qwen3VLTextModel, qwen3_moe.Qwen3VLMoeTextModel):
        text._deepstack_process = _deepstack
    verl_qwen3._get_input_embeds = _qwen3_embeddings
    verl_qwen2._get_input_embeds = _qwen2_embeddings
    verl_qwen2._custom_flash_attention_forward = _verl_packed_attention
    vars(verl_qwen2)["_flash_use_top_left_mask"] = False  # there only with flash-attn


def _install_grids(module: types.ModuleType, shapes: Shapes) -> None:
    def positions(grid: Any, *_: Any, **__: Any) -> Any:
        return torch.zeros(shapes.pictures.patches, 2, dtype=torch.long, device=grid.device)

    def weights(grid: Any, **_: Any) -> Any:
        of_patches = (4, shapes.pictures.patches)
        return torch.zeros(of_patches, dtype=torch.long, device=grid.device), torch.zeros(
            of_patches, device=grid.device
        )

    def window(grid: Any, **_: Any) -> Any:
        return torch.zeros(shapes.pictures.tokens, dtype=torch.long, device=grid.device), None

    def mask(*_: Any, inputs_embeds: Any, **__: Any) -> Any:
        if not shapes.dense_mask:
            return None
        rows, length = inputs_embeds.shape[:2]
        return torch.empty(rows, 1, length, length, dtype=torch.bool, device=inputs_embeds.device)

    made: dict[str, Callable[..., Any]] = {
        "get_vision_position_ids": positions,
        "get_vision_bilinear_indices_and_weights": weights,
        "get_vision_window_index": window,
        "get_vision_cu_seqlens": lambda *_, **__: None,
        "create_causal_mask": mask,
    }
    for name, function in made.items():
        if hasattr(module, name):
            setattr(module, name, function)


def _tower_attention(
    self: Any, rotate: Any, hidden_states: Any, cu_seqlens: Any, position_embeddings: Any = None, **_: Any
) -> Any:
    length = hidden_states.shape[0]
    query, key, value = self.qkv(hidden_states).reshape(length, 3, self.num_heads, -1).permute(1, 0, 2, 3).unbind(0)
    query, key = rotate(query, key, *position_embeddings)
    query, key, value = (tensor.transpose(0, 1).unsqueeze(0) for tensor in (query, key, value))
    out, _weights = _packed_attention(self, query, key, value, None)
    return self.proj(out.reshape(length, -1).contiguous())


def _deepstack(self: Any, hidden_states: Any, visual_pos_masks: Any, visual_embeds: Any) -> Any:
    hidden_states = hidden_states.clone()
    tokens = visual_embeds.shape[0]
    places = torch.zeros(tokens, dtype=torch.long, device=hidden_states.device)
    local = hidden_states.flatten(0, 1)[places] + visual_embeds.to(hidden_states.dtype)
    hidden_states.flatten(0, 1)[places] = local
    return hidden_states


def _with_pictures(model: Any, input_ids: Any, pixel_values: Any, grid: Any) -> tuple[Any, Any, Any]:
    from verl.utils.transformers_compat import unpack_visual_output

    embeddings = model.get_input_embeddings()(input_ids)
    if pixel_values is None:
        return embeddings, None, None
    images, deep = unpack_visual_output(model.visual(pixel_values.type(model.visual.dtype), grid_thw=grid))
    mask = input_ids == model.config.image_token_id
    embeddings = embeddings.masked_scatter(mask.unsqueeze(-1).expand_as(embeddings), images.to(embeddings.dtype))
    return embeddings, mask, deep


def _qwen3_embeddings(
    model: Any,
    input_ids: Any,
    attention_mask: Any = None,
    pixel_values: Any = None,
    pixel_values_videos: Any = None,
    image_grid_thw: Any = None,
    video_grid_thw: Any = None,
) -> Any:
    embeddings, mask, deep = _with_pictures(model, input_ids, pixel_values, image_grid_thw)
    return {
        "inputs_embeds": embeddings,
        "attention_mask": attention_mask,
        "visual_pos_masks": mask,
        "deepstack_visual_embeds": deep,
    }


def _qwen2_embeddings(
    model: Any,
    input_ids: Any,
    attention_mask: Any = None,
    pixel_values: Any = None,
    pixel_values_videos: Any = None,
    image_grid_thw: Any = None,
    video_grid_thw: Any = None,
) -> Any:
    embeddings, _mask, _deep = _with_pictures(model, input_ids, pixel_values, image_grid_thw)
    return embeddings, attention_mask


def _verl_packed_attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))
    return _packed_attention(None, query, key, value, None)[0]


@contextmanager
def log_probs(flash: bool) -> Iterator[None]:
    """verl's log-probs with flash-attn's cross-entropy, or ours in chunks."""
    import verl.utils.torch_functional as functions

    before = {name: getattr(functions, name, None) for name in _LOG_PROBS}
    vars(functions).update(zip(_LOG_PROBS, (flash, _flash_cross_entropy), strict=True))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(functions, name, value)


_LOG_PROBS = ("FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE", "cross_entropy_loss")
