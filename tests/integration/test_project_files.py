"""What a stranger meets first: the hooks run without a network, and the citation and the issue forms are valid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from medix_r1 import __version__
from tests.integration.conftest import LONGEST

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with our hooks and settings, and the environment of these tests in the place of `.venv`."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".gitignore").write_text(".venv\n.ruff_cache\n")
    (folder / ".venv").symlink_to(sys.prefix)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def hooks(clone: Path) -> subprocess.CompletedProcess[str]:
    """Run every hook on every file, with nothing that could be downloaded: no proxy, no index, an empty cache."""
    subprocess.run(["git", "add", "--all"], cwd=clone, check=True)
    dead = "http://127.0.0.1:9"
    env = {**os.environ, "PRE_COMMIT_HOME": str(clone.parent / "cache"), "http_proxy": dead, "https_proxy": dead}
    env = {name: value for name, value in env.items() if not name.startswith("GIT_")}
    line = [str(Path(sys.executable).parent / "pre-commit"), "run", "--all-files"]
    return subprocess.run(line, cwd=clone, env=env, capture_output=True, text=True, check=False)


def test_the_hooks_pass_what_is_clean(clone: Path) -> None:
    (clone / "clean.py").write_text('"""Clean."""\n\nX = 1\n')
    done = hooks(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ruff format" in done.stdout
    assert "Skipped" not in done.stdout


def test_the_hooks_stop_what_is_not(clone: Path) -> None:
    (clone / "loose.py").write_text('"""Loose."""\n\nimport os\n\nX =  1\n')
    done = hooks(clone)
    assert done.returncode == 1
    assert "F401" in done.stdout
    assert "X = 1" in (clone / "loose.py").read_text()  # the first hook formats


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert {"message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)  # what CFF 1.2 asks of a reference
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2602.23363"}]


def test_the_changelog_knows_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.index("## [Unreleased]") < text.index(f"## [{__version__}]")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_has_what_github_asks_for(form: Path) -> None:
    tree = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(tree)
    fields = [field for field in tree["body"] if field["type"] != "markdown"]
    assert all(field["type"] in {"textarea", "input", "dropdown", "checkboxes"} for field in fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_there_is_a_form_for_problems_and_one_for_wishes() -> None:
    assert [form.stem for form in FORMS] == ["bug_report", "feature_request"]


def test_the_files_that_are_to_start_first_are_there() -> None:
    assert [name for name in LONGEST if not (Path(__file__).parent / name).is_file()] == []


def test_no_folder_holds_more_than_15_modules_side_by_side() -> None:
    folders = [path for path in (ROOT / "medix_r1").rglob("*") if (path / "__init__.py").is_file()]
    modules = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) - 1 for folder in folders}
    assert {folder: number for folder, number in modules.items() if number > 15} == {}
