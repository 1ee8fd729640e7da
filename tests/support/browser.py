"""A real headless browser, for tests that look at pages we write."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed here")


def dom_of(page: Path, home: Path, fragment: str = "", *options: str) -> str:
    """The page as it stands after its scripts have run; `fragment` goes behind the address."""
    assert BROWSER is not None
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += [f"--user-data-dir={home}", "--virtual-time-budget=8000", *(options or ("--dump-dom",))]
    result = subprocess.run(
        [*command, page.as_uri() + fragment],
        capture_output=True, text=True, timeout=240, env={**os.environ, "HOME": str(home)}, check=False,
    )  # fmt: skip
    return result.stdout
