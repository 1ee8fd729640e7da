"""What training did to the weights in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def shards(checkpoint: Path, part: str = "model") -> dict[str, Any]:
    """Rank 0's part of a checkpoint of a test's own run: `model` or `optim`."""
    (path,) = (checkpoint / "actor").glob(f"{part}_world_size_*_rank_0.pt")
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return loaded


def local(tensor: Any) -> torch.Tensor:
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def moved(checkpoint: Path, start: Path) -> dict[str, bool]:
    """By name, whether rank 0's part of a tensor differs from the model folder that training started from.

    Of LoRA it is each adapter's second factor that counts, which starts as zeros.
    """
    trained = {name: local(tensor) for name, tensor in shards(checkpoint).items()}
    if adapters := {name: bool(tensor.any()) for name, tensor in trained.items() if "lora_B" in name}:
        return adapters
    before = load_file(start / "model.safetensors")
    return {
        name: not torch.equal(tensor[: len(trained[name])], trained[name].float()) for name, tensor in before.items()
    }


def moved_share(checkpoint: Path, start: Path) -> float:
    """Share of the tensors that training changed."""
    changed = moved(checkpoint, start).values()
    return sum(changed) / len(changed)
