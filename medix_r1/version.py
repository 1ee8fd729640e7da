"""The package's version and, in a clone, the commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from medix_r1 import __version__

_ROOT = Path(__file__).parents[1]


def version_line() -> str:
    """What `medix-r1 --version` prints."""
    found = commit()
    return f"medix-r1 {__version__}" + (f", commit {found}" if found else "")


def commit(root: Path = _ROOT) -> str | None:
    """The commit of the clone at `root`, followed by `with changes` if tracked files differ from it.

    None if `root` is no clone, `unknown` if git is missing or fails.
    """
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    if head is None or changes is None:
        return "unknown"
    return f"{head} with changes" if changes else head


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
