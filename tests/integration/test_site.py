"""The pages build as a site without a warning: every link and anchor in it leads somewhere, and so does the menu."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
needs_sphinx = pytest.mark.skipif(
    find_spec("sphinx") is None and os.environ.get("CI") != "true", reason="Sphinx is not installed: make lint"
)


@needs_sphinx
def test_the_site_builds_strictly(tmp_path: Path) -> None:
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs/site", ".", str(tmp_path)]

    built = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)

    assert (built.returncode, built.stderr) == (0, "")
    assert (tmp_path / "searchindex.js").is_file(), "searched without a server"
    api = (tmp_path / "docs" / "site" / "api.html").read_text(encoding="utf-8")
    for name in (
        "medix_r1.rewards.base.Sample",
        "medix_r1.models.judge.Judge",
        "medix_r1.algorithms.estimators.estimator",
    ):
        assert f'id="{name}"' in api
    assert (tmp_path / "docs" / "ablation" / "compare_dark.png").is_file(), "named in HTML alone"
