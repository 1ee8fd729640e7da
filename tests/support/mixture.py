"""A nano mixture of experts whose routes matter: sixteen experts, two of a token, and weights large enough to tell.

The twin of tools/nano/twins.py has weights of 0.02, so that experts add next to nothing, and no route is close.
"""

from __future__ import annotations

from pathlib import Path

from medix_r1.checkpoints.parameters.hub_layout import hub_conversions
from medix_r1.demo.rows import labels
from tools.nano.twins import build_twin

EXPERTS, LAYERS, SCALE = 16, 3, 4.0


def build_mixture(folder: Path, seed: int = 0) -> None:
    """Write it as a model folder."""
    import torch
    from transformers import AutoConfig, Qwen3VLMoeForConditionalGeneration

    build_twin(folder, "qwen3_vl_moe", labels.load())
    config = AutoConfig.from_pretrained(folder)
    config.text_config.num_experts, config.text_config.num_hidden_layers = EXPERTS, LAYERS
    torch.manual_seed(seed)
    model = Qwen3VLMoeForConditionalGeneration(config).float()
    with torch.no_grad():
        for parameter in model.model.language_model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(SCALE)
    model._weight_conversions = hub_conversions(model)
    model.save_pretrained(folder)
