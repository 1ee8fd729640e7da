"""A folder that appears whole or not at all: written under another name, then renamed.

A merge that is killed leaves `.NAME.merging` (half a model, unlocked) or, if it died between two renames,
`.NAME.replaced` (the old model). The next one to the same place knows both.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medix_r1.errors import CheckpointError

_MODEL_FILES = ("config.json", "adapter_config.json")


@contextmanager
def staged(out: Path, *, force: bool) -> Iterator[Path]:
    """Give a temporary folder beside `out`; when the block ends well it is `out`.

    Args:
        out: absolute path of the model's folder.
        force: replace a model that is already there.

    Raises:
        CheckpointError: `out` is in the way, or another merge is writing it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (out.with_name(f".{out.name}.{word}") for word in ("merging", "replaced"))
    with _held(temporary):
        _recover(out, old)
        check_room(out, force=force)
        try:
            yield temporary
            _sync(*temporary.iterdir(), temporary)
            if out.exists():
                os.replace(out, old)
            os.replace(temporary, out)
            _sync(out.parent)
        except BaseException:  # Ctrl-C as well: what stood there comes back; raised again
            _recover(out, old)
            raise
        shutil.rmtree(old, ignore_errors=True)


def check_room(out: Path, *, force: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        CheckpointError: there is something, and either `force` is not set or it is no model.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise CheckpointError(f"{out} exists; choose another folder, or replace it with --force", code="exists-already")
    if not any((out / name).is_file() for name in _MODEL_FILES):  # --force replaces a model, not somebody's home folder
        raise CheckpointError(
            f"{out} is not a model folder (no config.json); it is not replaced even with --force",
            code="not-a-model-folder",
        )


def check_disk(out: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        CheckpointError: fewer bytes are free than `needed`.
    """
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise CheckpointError(
            f"{out.parent}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free", code="disk-too-small"
        )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make an empty folder and lock it. The lock dies with the process, so what is found unlocked is a leftover."""
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"another merge is writing {folder}; wait for it", code="in-use") from None
        for leftover in folder.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _recover(out: Path, old: Path) -> None:
    """Put the old model back if the new one did not come to take its place."""
    if old.exists() and not out.exists():
        os.replace(old, out)
    shutil.rmtree(old, ignore_errors=True)


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
