"""Writes a folder atomically: under a temporary name, then renamed.

A killed merge leaves `.NAME.merging` (a partial model, no longer locked) or, between the two renames, `.NAME.replaced`
(the old model). The next merge to the same place removes the first and restores the second.
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
def atomic_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `out`; at the end of the block it is fsynced and renamed to `out`.

    Args:
        out: absolute path of the model's folder.
        force: replace an existing model folder.

    Raises:
        CheckpointError: `out` exists, or another merge is writing it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (out.with_name(f".{out.name}.{word}") for word in ("merging", "replaced"))
    with _locked(temporary):
        _recover(out, old)
        check_target(out, force=force)
        try:
            yield temporary
            _sync(*temporary.iterdir(), temporary)
            if out.exists():
                os.replace(out, old)
            os.replace(temporary, out)
            _sync(out.parent)
        except BaseException:  # Ctrl-C too: restores the old model
            _recover(out, old)
            raise
        shutil.rmtree(old, ignore_errors=True)


def check_target(out: Path, *, force: bool) -> None:
    """Check that `out` may be written: it is missing, empty, or a model folder and `force` is set.

    Raises:
        CheckpointError: it may not.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise CheckpointError(f"{out} exists; choose another folder, or replace it with --force", code="exists-already")
    if not any((out / name).is_file() for name in _MODEL_FILES):  # --force must not delete other folders
        raise CheckpointError(
            f"{out} is not a model folder (no config.json); it is not replaced even with --force",
            code="not-a-model-folder",
        )


def check_disk(out: Path, needed: int) -> None:
    """Check the free disk space.

    Raises:
        CheckpointError: fewer than `needed` bytes are free.
    """
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise CheckpointError(
            f"{out.parent}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free", code="disk-too-small"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Create a folder, lock it and empty it. The lock ends with the process, so an unlocked folder is a leftover."""
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
    """Restore the old model if there is no new one."""
    if old.exists() and not out.exists():
        os.replace(old, out)
    shutil.rmtree(old, ignore_errors=True)


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
