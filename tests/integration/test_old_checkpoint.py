"""Pickles in a checkpoint of commit 795c22a name nothing of ours, so that modules may move; and all is still there."""

from __future__ import annotations

import importlib
import json
import pickle
from pathlib import Path

import pytest

from medix_r1.runs.folder import RunFolder
from tests.support.old_run import SAID, recorded_files
from tests.support.pickles import pickled_names

# Of each file its names; transfer_queue/ is of a run with trainer=colocate_async.
NAMES: dict[str, list[str]] = json.loads((SAID / "pickles.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_names_in_a_pickle_are_found(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "some.pkl").write_bytes(pickle.dumps([RunFolder(tmp_path), RunFolder(tmp_path), {}], protocol))

    assert "medix_r1.runs.folder.RunFolder" in pickled_names(tmp_path / "some.pkl")


def test_every_pickle_of_the_recorded_checkpoint_was_looked_at() -> None:
    pickles = {name for name in recorded_files() if name.endswith((".pt", ".pkl"))}
    assert pickles
    assert {name for name in NAMES if not name.startswith("transfer_queue/")} == pickles


@pytest.mark.parametrize("file", NAMES)
def test_an_old_pickle_names_only_what_is_still_there(file: str) -> None:
    for name in NAMES[file]:
        assert not name.startswith("medix_r1")
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
