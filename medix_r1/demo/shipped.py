"""The models that ship with the package: Hugging Face folders with weights in bfloat16, half the size of float32.

`unpack` makes the float32 folders that the demo uses. A clone's `python -m tools.nano` trains models and ships them.
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
    """Return the folder of a shipped model; configs and tokenizers can be read from it as from an unpacked one."""
    return SHIPPED / model


def unpack(source: Path, folder: Path) -> None:
    """Write a shipped model as a folder that vLLM and `from_pretrained` load in float32; every value stays as it is.

    Args:
        source: from `shipped_folder`.
        folder: where to; made if it is not there.

    Raises:
        CheckpointError: files of the shipped model are missing or damaged; all of them are listed.
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
    """Return what a model folder's CHECKSUMS must say."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def _checked(source: Path) -> list[str]:
    """Return the names of a shipped model's files, once each has the content that was shipped."""
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
