"""The layout in which the hub stores a model's weights, where transformers 5 would save another one.

transformers 5.9.0 loads the public Qwen3-VL mixtures of experts (gate_up_proj [E, H, 2I], down_proj [E, I, H]) by
transposing them to its own layout ([E, 2I, H], [E, H, I]). Its loader transposes only what has another shape than the
model's parameter (`check_dims`). On saving it inverts the same rule, where the shapes never differ, so it writes its
own layout. vLLM, llama.cpp and transformers 4.57 transpose whatever they read and need the hub's.
"""

from __future__ import annotations

from typing import Any

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import PrefixChange, Transpose


def hub_conversions(model: Any) -> list[Any] | None:
    """The weight conversions of a model, such that their inverse gives the hub's layout.

    Set as `model._weight_conversions`, they are what `revert_weight_conversion` and `save_pretrained` use. None if the
    model's own layout is the hub's.
    """
    # PrefixChange is left out, as transformers does for a model that was not loaded from a folder.
    found = [
        conversion
        for conversion in get_model_conversion_mapping(model, add_legacy=False)
        if not isinstance(conversion, PrefixChange)
    ]
    for conversion in found:
        for operation in getattr(conversion, "operations", ()):
            if isinstance(operation, Transpose):
                operation.check_dims = False  # what comes from the model is always in its own layout
    return found or None
