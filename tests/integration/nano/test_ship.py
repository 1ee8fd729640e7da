"""The shipped folders are what the kit writes: shipping what was unpacked gives the same files again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from medix_r1.demo.rows import labels
from medix_r1.demo.shipped import CHECKSUMS, WEIGHTS, Model, shipped_folder, unpack
from medix_r1.errors import CheckpointError
from tests.support.problems import coded
from tools.nano.judge import model as judge_model
from tools.nano.policy import model as policy_model
from tools.nano.policy import tokenizer as policy_tokenizer
from tools.nano.ship import ship


@pytest.mark.parametrize("model", ["policy", "judge"])
def test_what_is_unpacked_ships_as_it_was(model: Model, tmp_path: Path) -> None:
    unpack(shipped_folder(model), tmp_path / "unpacked")
    again, before = ship(tmp_path / "unpacked", model, tmp_path / "again"), shipped_folder(model)

    assert {path.name for path in again.iterdir()} == {path.name for path in before.iterdir()}
    for path in before.iterdir():
        if path.name not in (WEIGHTS, CHECKSUMS):
            assert (again / path.name).read_bytes() == path.read_bytes()
    ours, theirs = load_file(again / WEIGHTS), load_file(before / WEIGHTS)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == torch.bfloat16 for name in ours)
    unpack(again, tmp_path / "once_more")  # its checksums hold
    assert (tmp_path / "once_more" / WEIGHTS).read_bytes() == (tmp_path / "unpacked" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("model", ["policy", "judge"])
def test_the_code_makes_the_shipped_tokenizer_and_architecture(model: Model, tmp_path: Path) -> None:
    """Else labels, lexicon or code have changed since the weights were trained: train again and ship."""
    if model == "policy":
        tokenizer = policy_tokenizer.make_tokenizer(labels.load())
        policy_model.save_folder(tmp_path, policy_model.make_model(tokenizer), tokenizer)
    else:
        tokenizer = judge_model.make_tokenizer()
        judge_model.save_folder(tmp_path, judge_model.make_model(tokenizer), tokenizer)
    shipped = AutoTokenizer.from_pretrained(shipped_folder(model))

    assert tokenizer.get_vocab() == shipped.get_vocab()
    assert tokenizer.chat_template == shipped.chat_template
    shapes, wanted = (
        {name: value.shape for name, value in load_file(folder / WEIGHTS).items()}
        for folder in (tmp_path, shipped_folder(model))
    )
    assert shapes == wanted


def test_weights_that_bfloat16_cannot_hold_are_not_shipped(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": torch.tensor([0.5]), "b": torch.tensor([0.1])}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, check=coded("not-bfloat16", 1, "b")):
        ship(folder, "policy", tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_a_model_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("no-model-there", "python -m tools.nano train")):
        ship(tmp_path / "gone", "policy", tmp_path / "shipped")
