"""A run folder as commit 795c22a left it, from tests/data/run_795c22a: `make demo`, cut down to what is read here.

Of its metrics the last step is whole and the others keep what the verbs show; of its samples some groups are there. In
its files the folder of the clone stands as CLONE. tests/data/run_795c22a_said holds what that commit printed of it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from medix_r1.runs.folder import RunFolder

DATA = Path(__file__).parents[1] / "data"
SAID = DATA / "run_795c22a_said"
STEP = 30


def unpack(clone: Path) -> RunFolder:
    """The run in `clone`/outputs/nano_cpu; its checkpoint's files are holes of the recorded sizes."""
    folder = RunFolder(clone / "outputs" / "nano_cpu")
    shutil.copytree(DATA / "run_795c22a", folder.root)
    for file in folder.root.rglob("*"):
        if file.is_file():
            file.write_text(file.read_text(encoding="utf-8").replace("CLONE", str(clone)), encoding="utf-8")
    folder.create()
    folder.log(1).touch()
    checkpoint = folder.checkpoints / f"global_step_{STEP}"
    for name, size in recorded_files().items():
        (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
        (checkpoint / name).touch()
        os.truncate(checkpoint / name, size)
    return folder


def recorded_files() -> dict[str, int]:
    """Files of its checkpoint, and their sizes."""
    manifest = DATA / "run_795c22a" / "checkpoints" / f"global_step_{STEP}" / "medix_checkpoint.json"
    files: dict[str, int] = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    return files


def overrides(folder: RunFolder) -> list[str]:
    """The command line of the run."""
    words: list[str] = json.loads((folder.root / "provenance.json").read_text(encoding="utf-8"))["overrides"]
    return words
