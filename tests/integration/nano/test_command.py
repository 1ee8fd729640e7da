"""The kit's command line in a process of its own: its errors, and that the package does without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def kit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tools.nano", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "key", "names"),
    [
        (("train", "--only", "data"), "--only", "policy, judge"),
        (("ship", "--out", "/nowhere"), "/nowhere/models/policy", "python -m tools.nano train"),
    ],
)
def test_an_error_is_one_line(arguments: tuple[str, ...], key: str, names: str) -> None:
    result = kit(*arguments)
    assert result.returncode == 1
    assert result.stdout.startswith(f"error: {key}: ")
    assert names in result.stdout
    assert "Traceback" not in result.stderr


def test_the_package_imports_without_the_kit(tmp_path: Path) -> None:
    """As from a wheel: the package alone on the path. Every module of the demo is imported."""
    (tmp_path / "medix_r1").symlink_to(ROOT / "medix_r1")
    (tmp_path / "tools.py").write_text("raise ImportError('the package needs the kit')\n")
    names = sorted(path.stem for path in (ROOT / "medix_r1" / "demo").glob("*.py") if path.stem != "__init__")
    code = "\n".join(f"import medix_r1.demo.{name}" for name in names)
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True
    )
