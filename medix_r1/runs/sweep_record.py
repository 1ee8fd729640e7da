"""What a sweep's folder remembers: the runs that were asked for, so that a missing one can be named."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_FILE = "sweep.json"


def add(folder: Path, runs: Mapping[str, Sequence[str]]) -> None:
    """Note runs by name with their overrides, beside those that an earlier command asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_FILE}"
    temporary.write_text(json.dumps({"runs": read(folder) | {**runs}}, indent=1), encoding="utf-8")
    os.replace(temporary, folder / _FILE)


def read(folder: Path) -> dict[str, list[str]]:
    """Name of each run that was asked for and its overrides; empty where no sweep was."""
    path = folder / _FILE
    if not path.is_file():
        return {}
    runs: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return runs
