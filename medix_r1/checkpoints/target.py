"""The folder that a merge writes: which one it is, and whether writing it would destroy something."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints

_MODEL_FILES = ("config.json", "adapter_config.json")
_KINDS = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md", ".bin")  # of files in a model folder
_NAMES = (".gitattributes", ".cache", "LICENSE", "USE_POLICY")  # .cache is left by `hf upload` and `hf download`
_LISTED = 5
_CHECKPOINT_FILES = (checkpoints.MANIFEST, "fsdp_config.json", "latest_checkpointed_iteration.txt")
_ANOTHER_FOLDER = "choose another folder"
_ADVICE = {
    errno.ENOSPC: "free space (or inodes) there, or choose another folder",
    errno.EDQUOT: "free some of your quota there, or choose another folder",
    errno.EFBIG: "a file may not be that large there (ulimit -f); choose a smaller --shard-size",
}


def resolved(out: Path) -> Path:
    """The folder that is written: links are followed, so that a link to another disk stays one.

    Raises:
        CheckpointError: it is the current folder or one above it, or its links lead in a circle.
    """
    try:
        folder = out.resolve()
    except (OSError, RuntimeError):
        raise CheckpointError(f"--out {out}: its links lead in a circle", code="links-in-a-circle") from None
    if Path.cwd().is_relative_to(folder):
        raise CheckpointError(
            f"--out {out} is the current folder or one above it; name a new folder, such as {out / 'model'}",
            code="current-folder",
        )
    return folder


def check_target(out: Path, *, force: bool, base: Path | None = None) -> None:
    """Check that `out` may be written: it is missing, empty, or a model folder and `force` is set.

    Args:
        out: a folder with all links resolved.
        force: replace a model folder.
        base: the model that the run started from.

    Raises:
        CheckpointError: it may not.
    """
    try:
        _check_target(out, force=force, base=base)
    except OSError as error:  # too long a name, a folder that may not be read
        raise explained(error, out) from None


def _check_target(out: Path, *, force: bool, base: Path | None) -> None:
    if inside := next((folder for folder in (out, *out.parents) if _is_of_checkpoints(folder)), None):
        raise CheckpointError(
            f"--out {out} lies in the checkpoints in {inside}, which it could destroy; choose a folder outside",
            code="inside-a-checkpoint",
        )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise CheckpointError(f"{out} exists; choose another folder, or replace it with --force", code="exists-already")
    if not any((out / name).is_file() for name in _MODEL_FILES):  # --force must not delete other folders
        raise CheckpointError(
            f"{out} is not a model folder (no config.json); it is not replaced even with --force",
            code="not-a-model-folder",
        )
    if foreign := sorted(path.name for path in out.iterdir() if not _is_of_model(path)):
        raise CheckpointError(
            f"{out} has more than a model in it ({', '.join(foreign[:_LISTED])}); it is not replaced even with --force",
            code="more-than-a-model",
        )
    if base is not None and base.exists() and base.resolve() == out:
        raise CheckpointError(
            f"{out} is the model that the run started from; it is not replaced even with --force", code="the-base-model"
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


def explained(error: OSError, out: Path, source: Path | None = None) -> CheckpointError:
    """An error of the system in one line: which file, and what to do.

    Args:
        error: of the system.
        out: the folder that is written.
        source: the checkpoint that is read.
    """
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else out
    if source is not None and path.is_relative_to(source):
        return CheckpointError(
            f"{path}: {error.strerror}; the checkpoint changed or cannot be read", code="source-unreadable"
        )
    advice = _ADVICE.get(error.errno or 0, _ANOTHER_FOLDER)
    return CheckpointError(f"{out} cannot be written: {error.strerror}; {advice}", code="cannot-write")


def _is_of_checkpoints(folder: Path) -> bool:
    """Whether a folder is a checkpoint, a part of one, or the folder of a run's checkpoints."""
    return (
        checkpoints.is_checkpoint_name(folder.name)
        or any((folder / name).exists() for name in _CHECKPOINT_FILES)
        or any(folder.glob("model_world_size_*_rank_*.pt"))
        or (folder.name == "checkpoints" and bool(checkpoints.all_folders(folder)))
    )


def _is_of_model(path: Path) -> bool:
    return path.name in _NAMES or (path.suffix in _KINDS and path.is_file() and not path.is_symlink())
