"""Files of the current directory that hide modules: Ray puts it in front of its workers' search path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from omegaconf import DictConfig

from medix_r1.errors import Problem


def shadowing_problems(_: DictConfig) -> Iterator[Problem]:
    """One problem for each file that workers would import in place of Python's or an installed module."""
    here = Path.cwd()
    elsewhere = [entry for entry in sys.path if entry and Path(entry) != here]
    for file in sorted(here.glob("*.py")):
        if file.stem in sys.stdlib_module_names or PathFinder.find_spec(file.stem, elsewhere) is not None:
            yield Problem(
                str(file),
                "hides-a-module",
                f"Ray's workers would import it as `{file.stem}`; rename it, or start in another folder",
            )
