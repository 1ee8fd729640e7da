"""Checkpoint folders: which are complete, so that a run can resume from them, and which an interrupted save left.

verl 0.9.1 writes ROOT/global_step_N/{actor/…, data.pt} and ROOT/latest_checkpointed_iteration.txt. We add a manifest
beside `data.pt`; a checkpoint is complete ("whole") when all files of its manifest are there. Standard library only,
because the launcher imports it, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from medix_r1.errors import CheckpointError
from medix_r1.host.files import atomic_write
from medix_r1.runs.fingerprints import fingerprint

BEST = "best.json"  # names the checkpoint with the best held-out value
MANIFEST = "medix_checkpoint.json"
_FOLDER = re.compile(r"global_step_(\d+)")
_LARGEST = 64_000_000  # bytes of a manifest; anybody may have written it


def seal(folder: Path) -> None:
    """Sync all files of a finished save to disk, then write the manifest atomically."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    marks = {str(path.relative_to(folder)): mark for path in files if (mark := fingerprint(path))}
    manifest = {"step": step_of(folder), "files": sizes, "fingerprints": marks}
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1))


def step_of(folder: Path) -> int:
    """The step in a checkpoint folder's name.

    Raises:
        CheckpointError: the folder is not called `global_step_N`.
    """
    match = _FOLDER.fullmatch(folder.name)
    if match is None:
        raise CheckpointError(f"{folder}: a checkpoint folder is called global_step_N", code="not-a-checkpoint")
    return int(match[1])


def is_checkpoint_name(name: str) -> bool:
    """Whether a folder of this name is a checkpoint: `global_step_N`."""
    return _FOLDER.fullmatch(name) is not None


def is_whole(folder: Path) -> bool:
    """Whether all files of the manifest exist in the sizes that it records."""
    try:
        return not wrong_files(folder)
    except CheckpointError:
        return False


def wrong_files(folder: Path) -> list[str]:
    """Files of the manifest that are missing or have another size.

    Raises:
        CheckpointError: there is no manifest, or a damaged one.
    """
    return [name for name, size in _recorded(folder, "files").items() if _size(folder / name) != size]


def changed_files(folder: Path) -> list[str]:
    """Files that another save wrote, of those that exist; a save before fingerprints were recorded has none.

    Raises:
        CheckpointError: there is no manifest, or a damaged one.
        OSError: a file cannot be read.
    """
    marks = _recorded(folder, "fingerprints")
    return [name for name, mark in marks.items() if (folder / name).is_file() and fingerprint(folder / name) != mark]


def recorded_files(folder: Path) -> set[str]:
    """Names of the files of the manifest.

    Raises:
        CheckpointError: there is no manifest, or a damaged one.
    """
    return set(_recorded(folder, "files"))


def _recorded(folder: Path, what: str) -> dict[str, Any]:
    try:
        path = folder / MANIFEST
        if not path.is_file() or path.stat().st_size > _LARGEST:  # a pipe would never end
            raise ValueError
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["files"] if what == "files" else manifest.get(what, {})
        return dict(found.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CheckpointError(f"{folder / MANIFEST}: missing or damaged", code="no-manifest") from None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):  # ValueError: a null byte in a damaged manifest
        return None


def all_folders(root: Path) -> list[Path]:
    """All checkpoint folders under `root`, complete or not, oldest step first."""
    if not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if path.is_dir() and _FOLDER.fullmatch(path.name)), key=step_of)


def latest(root: Path) -> Path | None:
    """The newest complete checkpoint."""
    return next((folder for folder in reversed(all_folders(root)) if is_whole(folder)), None)


def remove_torn(root: Path) -> list[Path]:
    """Delete and return incomplete checkpoints; call it only when no run is writing there."""
    torn = [folder for folder in all_folders(root) if not is_whole(folder)]
    for folder in torn:
        shutil.rmtree(folder)
    return torn


def prune(root: Path, keep: int | None) -> None:
    """Delete all complete checkpoints but the newest `keep` and the best one; None keeps all."""
    if keep is None:
        return
    kept = best(root)
    for folder in [folder for folder in all_folders(root) if is_whole(folder)][:-keep]:
        if folder != kept:
            (folder / MANIFEST).unlink()  # first, so that a half-deleted folder does not look complete
            shutil.rmtree(folder)


def offer_as_best(folder: Path, metric: str, value: float) -> bool:
    """Record a checkpoint as the best one if its held-out value is above that of the best so far.

    Returns:
        Whether it became the best. An incomplete folder (nothing was saved at this step) never does.
    """
    root = folder.parent
    record = _read_best(root) if best(root) else None
    if not is_whole(folder) or (record and record["metric"] == metric and record["value"] >= value):
        return False
    atomic_write(root / BEST, json.dumps({"step": step_of(folder), "metric": metric, "value": value}))
    return True


def best(root: Path) -> Path | None:
    """The checkpoint with the best held-out value; None without one, or when it was deleted."""
    record = _read_best(root)
    folder = root / f"global_step_{record['step']}" if record else None
    return folder if folder and is_whole(folder) else None


def _read_best(root: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((root / BEST).read_text(encoding="utf-8"))
        return {"step": int(record["step"]), "metric": str(record["metric"]), "value": float(record["value"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
