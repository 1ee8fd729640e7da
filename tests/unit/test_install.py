"""What scripts/install.sh says before the long installation, with a Python that cannot do what it asks."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install.sh"
HALF_MADE = "mkdir -p .venv/bin && touch .venv/bin/python && chmod +x .venv/bin/python"


@pytest.mark.parametrize(
    ("option", "package"),
    [("-c", "libnuma1"), ("-m", "python3.11-venv")],  # loads the library; makes the environment
)
def test_what_is_missing_is_named_with_its_package(tmp_path: Path, option: str, package: str) -> None:
    shutil.copytree(SCRIPT.parent, tmp_path / "scripts", ignore=lambda *_: {"container", "slurm"})
    python = tmp_path / "python3.11"
    python.write_text(f'#!/bin/sh\n[ "$1" = {option} ] && {{ {HALF_MADE}; exit 1; }}\nexit 0\n')
    python.chmod(0o755)
    for _ in range(2):  # the second time over what the first has left
        command = [str(tmp_path / "scripts" / "install.sh"), str(python)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith(f"apt install {package}")
        assert len(done.stderr.splitlines()) == 1
