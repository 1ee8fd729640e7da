"""Every defect of docs/upstream.md is still there; one that is not fails by name, and says what of ours can go."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import reproductions

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "upstream.md").read_text(encoding="utf-8")
SCRIPTS = sorted((ROOT / "docs" / "upstream").glob("*.py"))
PLUGIN = ROOT / "medix_r1" / "training" / "verl_plugin"
PATCHES = [path for folder in ("patches", "cpu") for path in sorted((PLUGIN / folder).glob("*.py"))]
PARTS = ("Upstream:", "See it:", "Here:", "Goes when:")


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def report(script: str) -> str:
    """The section of the page that is about a script."""
    (found,) = [part for part in re.split(r"\n###? ", PAGE) if f"(upstream/{script}.py)" in part]
    return found


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    result = tmp_path_factory.mktemp("upstream") / "printed.json"
    command = [sys.executable, "-m", "tests.support.reproductions", str(result), *map(str, SCRIPTS)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return json.loads(result.read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", [path.stem for path in SCRIPTS])
def test_the_defect_is_still_there(script: str, printed: dict[str, str]) -> None:
    here = re.search(r"- Here: (.*?)\n- Fix", report(script), re.DOTALL)
    assert here, f"docs/upstream.md does not say what we do about {script}"
    last = printed[script].strip().splitlines()[-1:]
    assert last, f"{script} printed nothing"
    assert last[0].startswith("STILL THERE"), (
        f"{script} printed:\n{printed[script]}\nIf the defect is gone, so can be what we do about it: {here[1]}"
    )
    assert last[0] in report(script), f"docs/upstream.md quotes another last line of {script}"


def test_every_patch_has_its_four_parts() -> None:
    patches = [path for path in PATCHES if "Upstream:" in docstring(path) and path.name != "__init__.py"]
    # What only extends verl through its registries, or installs.
    others = {"__init__.py", "replacing.py", "platform.py", "rollout.py", "replica.py"}

    assert {path.name for path in PATCHES} == {path.name for path in patches} | others
    for path in patches:
        text = docstring(path)
        assert [text.find(f"\n{part} ") for part in PARTS] == sorted(text.find(f"\n{part} ") for part in PARTS)
        missing = [part for part in PARTS if f"\n{part} " not in text]
        assert not missing, f"{path.name} does not say {missing}"
        (script,) = re.findall(r"docs/upstream/(\w+)\.py", text)
        assert path.name in report(script), f"docs/upstream.md does not name {path.name} for {script}"


def test_nothing_of_ours_helps_a_script() -> None:
    assert reproductions.CLEAN["VERL_USE_EXTERNAL_PLUGINS"] == "none"
    for path in SCRIPTS:
        assert "medix" not in path.read_text(encoding="utf-8"), f"{path.name} is not a report that can be sent"
