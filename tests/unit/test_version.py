"""`medix-r1 --version` in a clone and elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medix_r1 import __version__, cli, version


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


def test_a_clone_has_a_commit(clone: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")
    (clone / "untracked").touch()
    assert version.commit(clone) == head
    (clone / "file").write_text("two")
    assert version.commit(clone) == f"{head} with changes"


def test_an_installed_package_has_none(tmp_path: Path) -> None:
    assert version.commit(tmp_path) is None


def test_a_clone_that_git_cannot_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").touch()
    assert version.commit(tmp_path) == "unknown"
    monkeypatch.setenv("PATH", "")
    assert version.commit(tmp_path) == "unknown"


@pytest.mark.parametrize(("found", "line"), [(None, ""), ("abc with changes", ", commit abc with changes")])
def test_the_option_prints_one_line(monkeypatch: pytest.MonkeyPatch, found: str | None, line: str) -> None:
    monkeypatch.setattr(version, "commit", lambda: found)
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"medix-r1 {__version__}{line}\n")
