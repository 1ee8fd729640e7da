"""The record of a sweep: the runs that were requested, so that missing ones can be named."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_FILE = "sweep.json"


def add(folder: Path, runs: Mapping[str, Sequence[str]]) -> None:
    """Add runs, name → overrides, to those of earlier commands."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_FILE}"
    temporary.write_text(json.dumps({"runs": read(folder) | {**runs}}, indent=1), encoding="utf-8")
    os.replace(temporary, folder / _FILE)


def read(folder: Path) -> dict[str, list[str]]:
    """The requested runs, name → overrides; empty without a sweep."""
    path = folder / _FILE
    if not path.is_file():
        return {}
    runs: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return runs
