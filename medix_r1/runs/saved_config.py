"""The resolved config that a run left in its folder, for those who compare it with another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from medix_r1.moved_names import replace_moved


def read(file: Path) -> dict[str, Any]:
    """A run's config.yaml; names of modules that have moved since are today's, so that they are no difference."""
    config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    replace_moved(config, config, warn=False)  # nobody can change what has run
    return config
