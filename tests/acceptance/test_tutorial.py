"""docs/tutorial: every command is typed in its order, in a folder of its own, and leaves what the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "README.md"
LEFT = (
    "data/manifest.json",
    "view.html",
    "first/report.html",
    "board.html",
    "compare/compare.png",
    "model/model.safetensors",
)
OF_THE_CLONE = ("git ", "make ", "source ")


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line]
    return [line for line in lines if not line.startswith(OF_THE_CLONE)]


def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    for command in commands():
        program, *words = shlex.split(command)
        line = [sys.executable, *words] if program == "python" else [sys.executable, "-P", "-m", "medix_r1.cli", *words]
        done = subprocess.run(
            line,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    for name in LEFT:
        assert (tmp_path / "outputs" / "tutorial" / name).is_file(), name
