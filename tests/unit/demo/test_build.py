"""What the build keeps and refuses when models are trained again; the training itself is a stub here."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from medix_r1.demo import build as demo_build
from medix_r1.demo import judge_model
from medix_r1.demo.judge_families import Pair
from medix_r1.errors import DataError

Judge = Callable[[float], None]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Sets the verdict that the next judge gives on everything: YES above 0."""
    leaning = [-1.0]

    def build_judge(folder: Path, *, rebuild: bool, advance: Callable[[str], None]) -> None:
        folder.mkdir(parents=True)
        (folder / "made").write_text(f"rebuild={rebuild} leaning={leaning[0]}")

    def leanings(model: None, tokenizer: None, pairs: list[Pair]) -> list[float]:
        return leaning * len(pairs)

    monkeypatch.setattr(judge_model, "build_judge", build_judge)
    monkeypatch.setattr(judge_model, "load_judge", lambda folder: (None, None))
    monkeypatch.setattr(judge_model, "leanings", leanings)
    monkeypatch.setattr(demo_build, "judge_steps", lambda: 1)
    return lambda value: leaning.__setitem__(0, value)


def build(out: Path, *, rebuild: bool = False) -> str:
    """Build the judge alone; returns what stands on the terminal."""
    terminal = io.StringIO()
    demo_build.build(out, rebuild=rebuild, only=("judge",), console=Console(file=terminal, width=120))
    return terminal.getvalue()


def made(out: Path) -> str:
    return (out / "models" / "judge" / "made").read_text()


def test_a_plain_build_keeps_what_was_trained_here(tmp_path: Path, trained: Judge) -> None:
    build(tmp_path, rebuild=True)
    assert "judge: up to date, trained here" in build(tmp_path)
    assert made(tmp_path).startswith("rebuild=True")


def test_trained_weights_of_other_code_are_replaced(
    tmp_path: Path, trained: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, rebuild=True)
    real = demo_build.hash_files
    monkeypatch.setattr(demo_build, "hash_files", lambda paths, *words: real(paths, "another code", *words))
    build(tmp_path)
    assert made(tmp_path).startswith("rebuild=False")


def test_shipped_weights_are_no_reason_not_to_train(tmp_path: Path, trained: Judge) -> None:
    build(tmp_path)
    build(tmp_path, rebuild=True)
    assert made(tmp_path).startswith("rebuild=True")


def test_a_judge_that_says_yes_to_everything_is_not_installed(tmp_path: Path, trained: Judge) -> None:
    build(tmp_path)
    trained(1.0)
    with pytest.raises(DataError, match=r"YES to 100\.0% of the held-out pairs to refuse.*below 3%"):
        build(tmp_path, rebuild=True)
    assert made(tmp_path) == "rebuild=False leaning=-1.0"
    assert "judge: up to date\n" in build(tmp_path)
