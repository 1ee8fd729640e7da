"""A micro-batch without pictures passes through Qwen2.5-VL, too.

Upstream: verl 0.9.1 shows the vision tower a blank picture where a micro-batch has none, so that every rank calls the
same modules. For Qwen2.5-VL it takes the mean of what the tower returns, which is an object in transformers 5. Rows of
text and the padding rows that verl makes up have no picture.

See it: docs/upstream/text_rows.py

Here: that one case takes the tensor out of the object, as verl does where there are pictures.

Goes when: the script says that a row of text passes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from verl.models.transformers import qwen2_vl

from medix_r1.training.verl_plugin.patches.replacing import replace_once


def install() -> None:
    """Replace verl's `_get_input_embeds` of Qwen2.5-VL; a second call does nothing."""

    def with_text(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def embeddings(model: Any, input_ids: torch.Tensor, attention_mask: Any = None, *pictures: Any) -> Any:
            if any(tensor is not None for tensor in pictures[:2]):
                return original(model, input_ids, attention_mask, *pictures)
            found = model.get_input_embeddings()(input_ids)
            vision = model.config.vision_config
            width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
            blank = torch.zeros((16, width), dtype=found.dtype, device=found.device)
            grid = torch.tensor([[1, 4, 4]], dtype=torch.long, device=found.device)
            seen, _ = qwen2_vl.unpack_visual_output(model.visual(blank, grid_thw=grid))
            if attention_mask is not None:
                attention_mask = attention_mask.to(found.device)
            return found + 0.0 * seen.mean(), attention_mask

        return embeddings

    replace_once(qwen2_vl, "_get_input_embeds", with_text)
