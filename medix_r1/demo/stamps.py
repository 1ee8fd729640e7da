"""Build cache: a part is up to date if its stamp file has the hash of everything it is made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def hash_files(paths: Sequence[Path], *words: str) -> str:
    """SHA-256 over the names and contents of files (a missing one counts as empty) and some words."""
    digest = hashlib.sha256("\0".join(words).encode())
    for path in paths:
        digest.update(path.name.encode() + b"\0")
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def is_current(out: Path, part: str, inputs: str) -> bool:
    """Whether a part was built from exactly these inputs."""
    stamp = _stamp(out, part)
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == inputs


@contextmanager
def replacing(out: Path, part: str, inputs: str, folders: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder to build a part in; at the end of the block its folders replace the old ones.

    An interrupted build leaves the old folders. The stamp is removed before the folders are replaced and written after,
    so that a partly replaced part counts as not built.

    Args:
        out: the demo's folder.
        part: name of the part.
        inputs: hash of everything it is made from.
        folders: that the block writes; paths relative to the temporary folder and to `out`.
    """
    temporary = out / f".building-{part}"
    shutil.rmtree(temporary, ignore_errors=True)  # left by an interrupted build
    temporary.mkdir(parents=True)
    try:
        yield temporary
        stamp = _stamp(out, part)
        stamp.unlink(missing_ok=True)
        for folder in folders:
            _replace(temporary / folder, out / folder)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(inputs, encoding="utf-8")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(new: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        shutil.rmtree(place)
    os.replace(new, place)


def _stamp(out: Path, part: str) -> Path:
    return out / ".stamps" / f"{part}.sha256"
