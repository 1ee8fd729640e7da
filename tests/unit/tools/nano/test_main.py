"""The kit's command line: the verbs that pages name, without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from tools.nano.__main__ import app

ROOT = Path(__file__).parents[4]
VERBS = re.compile(r"python -m tools\.nano ((?:report )?[a-z]+)")


def test_every_verb_that_a_page_or_a_config_names_exists() -> None:
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").rglob("*.yaml")]
    named = {verb for file in files for verb in VERBS.findall(file.read_text(encoding="utf-8"))}
    assert named >= {"train", "ship", "twins", "report policy", "report judge"}
    for verb in named:
        assert CliRunner().invoke(app, [*verb.split(), "--help"]).exit_code == 0, verb


def test_help_imports_no_torch() -> None:
    code = "import sys, tools.nano.__main__; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
