"""The models in the package: Hugging Face folders with bfloat16 weights, half the size of float32.

`unpack` makes the float32 folders that the demo uses. In a clone, `python -m tools.nano` trains and ships the models.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Literal

from medix_r1.errors import CheckpointError

Model = Literal["policy", "judge"]
WEIGHTS = "model.safetensors"
SHIPPED = Path(__file__).with_name("weights")
CHECKSUMS = "SHA256SUMS"  # in each folder, as `sha256sum --check` reads it


def shipped_folder(model: Model) -> Path:
    """Return the folder of a shipped model, whose config and tokenizer can be used without unpacking."""
    return SHIPPED / model


def unpack(source: Path, folder: Path) -> None:
    """Write a shipped model as a float32 folder for vLLM and `from_pretrained`; the conversion is exact.

    Args:
        source: from `shipped_folder`.
        folder: of the result; created if needed.

    Raises:
        CheckpointError: all files of the shipped model that are missing or damaged.
    """
    from safetensors.torch import load_file, save_file

    names = _checked(source)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name != WEIGHTS:
            shutil.copyfile(source / name, folder / name)
    weights = {name: value.float() for name, value in load_file(source / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def checksums(folder: Path) -> str:
    """Return the content of a model folder's CHECKSUMS file."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def _checked(source: Path) -> list[str]:
    """Verify the checksums of a shipped model's files and return their names."""
    listed = source / CHECKSUMS
    if not listed.is_file():
        raise CheckpointError(f"{listed} is missing; install the package again", code="no-such-file")
    expected = [line.split(maxsplit=1) for line in listed.read_text(encoding="utf-8").splitlines()]
    found = checksums(source)
    if damaged := [name for digest, name in expected if f"{digest}  {name}\n" not in found]:
        raise CheckpointError(
            f"{source}: {', '.join(damaged)} missing or damaged; install the package again", code="damaged"
        )
    return [name for _, name in expected]
