"""The resolved config that a run left in its folder, for those who compare it with another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from medix_r1 import user_code
from medix_r1.moved_names import replace_moved


def read(file: Path) -> dict[str, Any]:
    """A run's config.yaml, so that only what differs is a difference.

    Names of modules that have moved since are today's, and files of code are named by their content.
    """
    config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    replace_moved(config, config, warn=False)  # nobody can change what has run
    named: dict[str, Any] = user_code.changed(config, user_code.identity)
    return named
