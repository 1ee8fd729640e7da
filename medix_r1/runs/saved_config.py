"""Reads the resolved config of a run's folder, normalised for comparison with another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medix_r1 import user_code
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema.moved_names import replace_moved


def read(file: Path) -> dict[str, Any]:
    """Read a run's config.yaml, with current names of moved modules, and hashes in place of the paths of code files."""
    config: dict[str, Any] = read_yaml(file)
    replace_moved(config, config, warn=False)  # the user cannot change an old run
    config.get("run", {}).setdefault("plugins", [])  # a run of older code has none
    named: dict[str, Any] = user_code.changed(config, user_code.identity)
    return named
