"""The record of a sweep: the runs that were requested, so that missing ones can be named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from medix_r1.host.files import atomic_write

_FILE = "sweep.json"


def add(folder: Path, runs: Mapping[str, Sequence[str]]) -> None:
    """Add runs, name → overrides, to those of earlier commands."""
    atomic_write(folder / _FILE, json.dumps({"runs": read(folder) | {**runs}}, indent=1))


def read(folder: Path) -> dict[str, list[str]]:
    """The requested runs, name → overrides; empty without a sweep."""
    path = folder / _FILE
    if not path.is_file():
        return {}
    runs: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return runs
