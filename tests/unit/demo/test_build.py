"""What a build keeps: what is up to date, and what was trained here. Unpacking is a stub."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from medix_r1.demo import build as demo_build
from medix_r1.demo import shipped
from medix_r1.demo.stamps import hash_files, replacing
from medix_r1.errors import ConfigError
from tests.support.problems import only


@pytest.fixture(autouse=True)
def _unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(source: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "made").write_text(f"shipped {source.name}")

    monkeypatch.setattr(shipped, "unpack", unpack)


def build(out: Path) -> str:
    """Build the judge alone; returns what stands on the terminal."""
    terminal = io.StringIO()
    demo_build.build(out, only=("judge",), console=Console(file=terminal, width=120))
    return terminal.getvalue()


def train(out: Path) -> None:
    """Install a judge as `python -m tools.nano train` does."""
    with replacing(out, "judge", demo_build.trained_stamp("judge"), ["models/judge"]) as temporary:
        (temporary / "models" / "judge").mkdir(parents=True)
        (temporary / "models" / "judge" / "made").write_text("trained")


def made(out: Path) -> str:
    return (out / "models" / "judge" / "made").read_text()


def test_the_shipped_model_is_unpacked_once(tmp_path: Path) -> None:
    build(tmp_path)
    assert made(tmp_path) == "shipped judge"
    (tmp_path / "models" / "judge" / "made").write_text("once")
    build(tmp_path)
    assert made(tmp_path) == "once"


def test_a_build_keeps_what_was_trained_here(tmp_path: Path) -> None:
    build(tmp_path)
    train(tmp_path)
    assert "trained here" in build(tmp_path)
    assert made(tmp_path) == "trained"


def test_what_was_trained_on_other_labels_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path)
    real = hash_files
    monkeypatch.setattr(demo_build, "hash_files", lambda paths, *words: real(paths, "other labels", *words))
    build(tmp_path)
    assert made(tmp_path) == "shipped judge"


def test_new_shipped_weights_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path)
    newer = tmp_path / "newer" / "judge"
    newer.mkdir(parents=True)
    (newer / shipped.CHECKSUMS).write_text("0  model.safetensors\n")
    monkeypatch.setattr(shipped, "SHIPPED", newer.parent)
    (tmp_path / "models" / "judge" / "made").write_text("old")
    build(tmp_path)
    assert made(tmp_path) == "shipped judge"


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, check=only(("only", "no-such-part"))):
        demo_build.build(tmp_path, only=("pictures",))
