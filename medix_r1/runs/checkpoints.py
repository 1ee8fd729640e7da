"""Whole checkpoints: which folders can be resumed from, and which are leftovers of an interrupted save.

Layout, as verl 0.9.1 writes it: ROOT/global_step_N/{actor/…, data.pt}, ROOT/latest_checkpointed_iteration.txt. Ours is
the manifest beside `data.pt`. Standard library only, so that the launcher and the trainer share it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from medix_r1.errors import CheckpointError

BEST = "best.json"  # which checkpoint has the best held-out value
MANIFEST = "medix_checkpoint.json"
_FOLDER = re.compile(r"global_step_(\d+)")


def seal(folder: Path) -> None:
    """Flush every file of a finished save to disk and write the manifest that makes the checkpoint valid."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    temporary = folder / f"{MANIFEST}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"step": step_of(folder), "files": sizes}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / MANIFEST)


def step_of(folder: Path) -> int:
    """The step in a checkpoint folder's name.

    Raises:
        CheckpointError: the folder is not called `global_step_N`.
    """
    match = _FOLDER.fullmatch(folder.name)
    if match is None:
        raise CheckpointError(f"{folder}: a checkpoint folder is called global_step_N", code="not-a-checkpoint")
    return int(match[1])


def is_whole(folder: Path) -> bool:
    """Whether every file that the manifest names is there in its full size."""
    try:
        files: dict[str, int] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # not there, torn, or not written by us
        return False


def all_folders(root: Path) -> list[Path]:
    """Checkpoint folders under `root`, oldest step first, whole or not."""
    if not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if path.is_dir() and _FOLDER.fullmatch(path.name)), key=step_of)


def latest(root: Path) -> Path | None:
    """The newest checkpoint that can be resumed from."""
    return next((folder for folder in reversed(all_folders(root)) if is_whole(folder)), None)


def remove_torn(root: Path) -> list[Path]:
    """Delete what an interrupted save left behind; called only when no run is writing there."""
    torn = [folder for folder in all_folders(root) if not is_whole(folder)]
    for folder in torn:
        shutil.rmtree(folder)
    return torn


def prune(root: Path, keep: int | None) -> None:
    """Delete all but the newest `keep` whole checkpoints and the best one; None keeps all."""
    if keep is None:
        return
    kept = best(root)
    for folder in [folder for folder in all_folders(root) if is_whole(folder)][:-keep]:
        if folder != kept:
            (folder / MANIFEST).unlink()  # first: a half-deleted folder must not look whole
            shutil.rmtree(folder)


def offer_as_best(folder: Path, metric: str, value: float) -> bool:
    """Make a checkpoint the best one if its held-out value is above that of the best so far.

    Returns:
        Whether it became the best. A folder that is not whole (nothing was saved at this step) does not.
    """
    root = folder.parent
    record = _read_best(root) if best(root) else None
    if not is_whole(folder) or (record and record["metric"] == metric and record["value"] >= value):
        return False
    temporary = root / f".{BEST}"
    temporary.write_text(json.dumps({"step": step_of(folder), "metric": metric, "value": value}), encoding="utf-8")
    os.replace(temporary, root / BEST)
    return True


def best(root: Path) -> Path | None:
    """The checkpoint with the best held-out value, if it is still there."""
    record = _read_best(root)
    folder = root / f"global_step_{record['step']}" if record else None
    return folder if folder and is_whole(folder) else None


def _read_best(root: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((root / BEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record
