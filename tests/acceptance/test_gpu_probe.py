"""Every check of scripts/gpu_probe.py passes on a CPU with the nano policy, vLLM or not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]


def test_all_checks_pass_on_a_cpu(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "scripts/gpu_probe.py", "--device", "cpu", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = {row["check"]: row["outcome"] for row in json.loads((tmp_path / "probe.json").read_text())["rows"]}
    assert rows.pop("peak") == "skipped"
    assert set(rows.values()) == {"passed"}, result.stdout
    assert result.returncode == 0
