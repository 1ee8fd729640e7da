"""Checkpoints that verl or EasyR1 wrote without us, and folders that people give instead of a checkpoint's."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.checkpoints.source import find
from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints
from tests.integration.checkpoints.plain import config, save, state_of
from tests.support.problems import coded

UNSEALED = Options(unsealed=True)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A checkpoint of verl's, in a folder of verl's."""
    made = save(tmp_path / "made", state_of(config()))
    (made / checkpoints.MANIFEST).unlink()
    return Path(shutil.move(made, tmp_path / "verl" / "global_step_5"))


@pytest.fixture
def easy(plain: Path) -> Path:
    """As EasyR1 and older versions of verl write it, without fsdp_config.json."""
    (plain / "actor" / "fsdp_config.json").unlink()
    return plain


def merged(folder: Path, out: Path) -> bool:
    merge(folder, out, options=UNSEALED)
    state, written = state_of(config()), load_file(out / "model.safetensors")
    return written.keys() == state.keys() and all(torch.equal(written[name], state[name]) for name in state)


@pytest.mark.parametrize("place", ["", "actor", ".."])
def test_it_is_merged_when_asked_for(easy: Path, tmp_path: Path, place: str) -> None:
    assert merged(easy / place, tmp_path / "model")


def test_an_actor_folder_anywhere_is_merged_when_asked_for(easy: Path, tmp_path: Path) -> None:
    shutil.move(easy / "actor", tmp_path / "weights")
    assert merged(tmp_path / "weights", tmp_path / "model")
    assert "step unknown" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "code"), [("", "not-sealed"), ("actor", "not-sealed"), ("..", "no-whole-checkpoint")]
)
def test_without_being_asked_it_is_named_and_refused(plain: Path, place: str, code: str) -> None:
    with pytest.raises(CheckpointError, check=coded(code, "global_step_5", "--unsealed")):
        find(plain / place)


def test_the_settings_alone_are_named(plain: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("settings-without-weights", plain)):
        find(plain / "actor" / "huggingface", unsealed=True)


def test_an_actor_of_a_sealed_checkpoint_is_its_checkpoint(tmp_path: Path) -> None:
    folder = save(tmp_path, state_of(config()))
    assert find(folder / "actor") == folder


def test_missing_ranks_are_named(easy: Path) -> None:
    (easy / "actor" / "model_world_size_1_rank_0.pt").rename(easy / "actor" / "model_world_size_4_rank_2.pt")
    missing = [f"model_world_size_4_rank_{rank}.pt" for rank in (0, 1, 3)]
    with pytest.raises(CheckpointError, check=coded("files-missing", *missing)):
        find(easy, unsealed=True)


def test_missing_settings_are_named(easy: Path, tmp_path: Path) -> None:
    shutil.rmtree(easy / "actor" / "huggingface")
    with pytest.raises(CheckpointError, check=coded("file-unreadable", easy / "actor" / "huggingface" / "config.json")):
        merge(easy, tmp_path / "model", options=UNSEALED)


def test_a_sealed_checkpoint_may_have_lost_its_optimizer(tmp_path: Path) -> None:
    folder = save(tmp_path, state_of(config()))
    (folder / "actor" / "optim_world_size_1_rank_0.pt").write_bytes(b"o")
    checkpoints.seal(folder)
    (folder / "actor" / "optim_world_size_1_rank_0.pt").unlink()

    with pytest.raises(CheckpointError, check=coded("not-whole", "optim_world_size_1_rank_0.pt")):
        find(folder)
    assert find(folder, unsealed=True) == folder


def test_a_sealed_shard_is_still_checked(tmp_path: Path) -> None:
    folder = save(tmp_path, state_of(config()))
    manifest = json.loads((folder / checkpoints.MANIFEST).read_text(encoding="utf-8"))
    manifest["fingerprints"]["actor/model_world_size_1_rank_0.pt"] = "another"
    (folder / checkpoints.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(CheckpointError, check=coded("not-as-saved")):
        find(folder, unsealed=True)
