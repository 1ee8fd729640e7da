"""verl: Qwen2.5-VL fails on a micro-batch without pictures."""

from types import SimpleNamespace

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling
from verl.models.transformers.qwen2_vl import _get_input_embeds

model = SimpleNamespace(
    config=SimpleNamespace(vision_config=SimpleNamespace(in_channels=3, temporal_patch_size=2, patch_size=14)),
    get_input_embeddings=lambda: torch.nn.Embedding(10, 8),
    # As transformers 5 has it: get_image_features and the tower return an object.
    visual=lambda pixels, grid_thw: BaseModelOutputWithPooling(pooler_output=torch.zeros(4, 8)),
)
try:
    _get_input_embeds(model, torch.tensor([[1, 2, 3]]))
    print("GONE: a row of text passes")
except AttributeError as error:
    print(f"STILL THERE: a row of text fails: {error}")
