"""What a training installs and refuses; the training itself is a stub here."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from medix_r1.demo.build import build
from medix_r1.errors import ConfigError, DataError
from tests.support.problems import coded, only
from tools.nano import train as training
from tools.nano.judge.families import Pair

Judge = Callable[[float], None]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Sets the verdict that the next judge gives on everything: YES above 0."""
    leaning = [-1.0]

    def save(folder: Path, model: torch.nn.Module, tokenizer: None) -> None:
        folder.mkdir(parents=True)
        (folder / "made").write_text(f"trained, leaning {leaning[0]}")

    def leanings(model: None, tokenizer: None, pairs: list[Pair]) -> list[float]:
        return leaning * len(pairs)

    stub = SimpleNamespace(STEPS=1, trained=lambda advance: (advance("loss 0"), (torch.nn.Linear(1, 1), None))[1])
    monkeypatch.setattr(training, "judge_training", stub)
    monkeypatch.setattr("tools.nano.judge.model.save_folder", save)
    monkeypatch.setattr("tools.nano.judge.report.load_judge", lambda folder: (None, None))
    monkeypatch.setattr("tools.nano.judge.report.leanings", leanings)
    return lambda value: leaning.__setitem__(0, value)


def train(out: Path) -> str:
    """Train the judge alone; returns what stands on the terminal."""
    terminal = io.StringIO()
    training.train(out, only=("judge",), console=Console(file=terminal, width=120))
    return terminal.getvalue()


def made(out: Path) -> str:
    return (out / "models" / "judge" / "made").read_text()


def rebuilt(out: Path) -> str:
    terminal = io.StringIO()
    build(out, only=("judge",), console=Console(file=terminal, width=120))
    return terminal.getvalue()


def test_a_trained_judge_takes_the_place_of_the_shipped_one(tmp_path: Path, judge: Judge) -> None:
    rebuilt(tmp_path)
    assert "trained: judge" in train(tmp_path)
    assert made(tmp_path) == "trained, leaning -1.0"
    assert "trained here" in rebuilt(tmp_path)


def test_training_is_done_again_whenever_it_is_asked_for(tmp_path: Path, judge: Judge) -> None:
    train(tmp_path)
    judge(-2.0)
    train(tmp_path)
    assert made(tmp_path) == "trained, leaning -2.0"


def test_a_judge_that_says_yes_to_everything_is_not_installed(tmp_path: Path, judge: Judge) -> None:
    train(tmp_path)
    judge(1.0)
    with pytest.raises(DataError, check=coded("judge-too-lenient", "100.0%", "3%")):
        train(tmp_path)
    assert made(tmp_path) == "trained, leaning -1.0"
    assert "trained here" in rebuilt(tmp_path)


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, check=only(("--only", "no-such-model"))):
        training.train(tmp_path, only=("data",))


def test_weights_are_rounded_to_what_the_shipped_files_hold() -> None:
    model = torch.nn.Linear(3, 3)
    before = model.weight.detach().clone()
    training.round_to_bfloat16(model)
    assert model.weight.dtype == torch.float32
    assert torch.equal(model.weight, before.to(torch.bfloat16).float())
    assert not torch.equal(model.weight, before)
