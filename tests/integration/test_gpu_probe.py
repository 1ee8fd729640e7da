"""scripts/gpu_probe.py on a machine without a GPU: one check here, all in tests/acceptance/test_gpu_probe.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def probe(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/gpu_probe.py", "--out", out, *words],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def test_a_check_is_a_row_of_the_report(tmp_path: Path) -> None:
    result = probe(tmp_path, "--device", "cpu", "group", "peak")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = {row["check"]: row for row in json.loads((tmp_path / "probe.json").read_text())["rows"]}
    assert (rows["group"]["outcome"], rows["group"]["figures"]["backend"]) == ("passed", "gloo")
    assert rows["peak"]["outcome"] == "skipped", "a CPU counts no bytes of a GPU"
    assert "| 1 | group | passed |" in (tmp_path / "probe.md").read_text()


def test_what_fails_is_a_row_and_an_exit_code(tmp_path: Path) -> None:
    result = probe(tmp_path, "--device", "cpu", "--model", str(tmp_path / "nowhere"), "packed")
    assert result.returncode == 1
    (row,) = json.loads((tmp_path / "probe.json").read_text())["rows"]
    assert row["outcome"] == "failed"
    assert row["says"]


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert probe(tmp_path).returncode == 2


def test_an_unknown_check_is_refused(tmp_path: Path) -> None:
    assert probe(tmp_path, "--device", "cpu", "grup").returncode == 2
