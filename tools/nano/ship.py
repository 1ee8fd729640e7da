"""Writes a trained model into the package: its folder with bfloat16 weights, and checksums."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from medix_r1.demo.shipped import CHECKSUMS, WEIGHTS, Model, checksums, shipped_folder
from medix_r1.errors import CheckpointError


def ship(folder: Path, model: Model, target: Path | None = None) -> Path:
    """Write the shipped folder of a model that `train` made; exact, because `train` rounded its weights to bfloat16.

    Args:
        folder: the model, as from_pretrained loads it.
        model: policy or judge.
        target: folder to write; by default the one in the package.

    Returns:
        The shipped folder.

    Raises:
        CheckpointError: there is no model, or bfloat16 cannot represent its weights exactly.
    """
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"{folder}: no {WEIGHTS} there; make it with `python -m tools.nano train`", code="no-model-there"
        )
    weights = load_file(folder / WEIGHTS)
    small = {name: value.to(torch.bfloat16) for name, value in weights.items()}
    if inexact := [name for name, value in weights.items() if not torch.equal(value, small[name].to(value.dtype))]:
        raise CheckpointError(
            f"{folder}: bfloat16 would change {len(inexact)} tensors, such as {inexact[0]}", code="not-bfloat16"
        )
    target = target or shipped_folder(model)
    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # left by an interrupted call
    shutil.copytree(folder, temporary, ignore=shutil.ignore_patterns(WEIGHTS))
    save_file(small, temporary / WEIGHTS, metadata={"format": "pt"})
    (temporary / WEIGHTS).chmod(0o644)  # safetensors makes it readable by its owner only
    (temporary / CHECKSUMS).write_text(checksums(temporary), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    return target
