"""`make test` runs all stages and ends with one table (scripts/test_stages.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "test_stages.py"
PRINTED = {
    "lint": "no issues",
    "unit": "================== 31 passed, 2 skipped, 4 warnings in 4.56s ==================",
    "integration": "in parallel\n= 2 failed, 5 passed, 1 error in 389.87s (0:06:29) =\nmake: *** [integration] Error 1",
    "e2e": "killed before it could say anything",
}


@pytest.fixture
def make(tmp_path: Path) -> Path:
    """A `make` that prints what the stage prints; the stages named in FAILING fail."""
    script = tmp_path / "make"
    for stage, text in PRINTED.items():
        (tmp_path / stage).write_text(f"{text}\n", encoding="utf-8")
    script.write_text(f'#!/bin/sh\ncat "{tmp_path}/$2"\ncase " $FAILING " in *" $2 "*) exit 2 ;; esac\n')
    script.chmod(0o755)
    return script


def run(make: Path, failing: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MAKE": str(make), "FAILING": failing}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *PRINTED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def rows(output: str) -> dict[str, list[str]]:
    """The table's cells without the minutes, by stage."""
    table = output[output.rindex("stage ") :].splitlines()
    assert table[0].split() == ["stage", "result", "passed", "failed", "errors", "skipped", "minutes"]
    return {line.split()[0]: line.split()[1:-1] for line in table[1:]}


def test_every_stage_runs_when_an_early_one_fails(make: Path) -> None:
    done = run(make, "lint integration e2e")
    assert done.returncode == 1
    for text in PRINTED.values():
        assert text in done.stdout
    assert rows(done.stdout) == {
        "lint": ["FAILED", "-", "-", "-", "-"],
        "unit": ["passed", "31", "0", "0", "2"],
        "integration": ["FAILED", "5", "2", "1", "0"],
        "e2e": ["FAILED", "-", "-", "-", "-"],
        "all": ["FAILED"],
    }


def test_all_passed(make: Path) -> None:
    done = run(make, "")
    assert done.returncode == 0
    assert rows(done.stdout)["all"] == ["passed"]


def test_make_acceptance_leaves_no_file_out() -> None:
    files = sorted((SCRIPT.parents[1] / "tests" / "acceptance").glob("test_*.py"))
    unmarked = [file.name for file in files if "pytest.mark.acceptance" not in file.read_text(encoding="utf-8")]
    assert len(files) > 20
    assert unmarked == []  # -m acceptance would pass them over
