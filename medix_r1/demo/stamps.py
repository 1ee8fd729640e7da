"""Caching of the build: a part is done when its stamp holds the hash of everything it was made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def hash_files(paths: Sequence[Path], *words: str) -> str:
    """Hash the contents of files (a missing one counts as empty) together with some words."""
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
    """Build a part in a temporary folder; when the block ends well, its folders take the place of the old ones.

    An interrupted build leaves the old folders as they were. The stamp goes first and comes last, so that an
    interruption in the middle of the exchange counts as not built.

    Args:
        out: the demo's folder.
        part: name of the part.
        inputs: hash of what it is made from.
        folders: paths, relative to the temporary folder and to `out` alike, that the block writes.
    """
    temporary = out / f".building-{part}"
    shutil.rmtree(temporary, ignore_errors=True)  # of an interrupted build
    temporary.mkdir(parents=True)
    try:
        yield temporary
        stamp = _stamp(out, part)
        stamp.unlink(missing_ok=True)
        for folder in folders:
            _exchange(temporary / folder, out / folder)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(inputs, encoding="utf-8")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        shutil.rmtree(place)
    os.replace(new, place)


def _stamp(out: Path, part: str) -> Path:
    return out / ".stamps" / f"{part}.sha256"
