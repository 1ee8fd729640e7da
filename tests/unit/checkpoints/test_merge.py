"""Everything about merging but verl's own part, which the end-to-end test runs on a real checkpoint."""

import json
from pathlib import Path

import pytest

from medix_r1.checkpoints import merge as module
from medix_r1.checkpoints.merge import find, merge
from medix_r1.checkpoints.model_card import model_card
from medix_r1.errors import CheckpointError
from medix_r1.training import checkpoint_folder

CONFIG = """
run: {name: nano_cpu, seed: 7}
algorithm: {adv_estimator: grpo}
data: {train_batch_size: 24, train_files: train.parquet}
actor_rollout_ref:
  model: {path: base/model}
  rollout: {n: 5}
  actor: {optim: {lr: 0.0002}, policy_loss: {loss_mode: gspo}}
reward: {weights: {llm: 0.6, format: 0.4}, think_element: think}
judge: {client: {model: some-judge}}
embedder: {model: some-embedder}
"""


def save(run: Path, step: int, *, ranks: int = 2, sealed: bool = True) -> Path:
    folder = run / "checkpoints" / f"global_step_{step}"
    huggingface = folder / "actor" / "huggingface"
    huggingface.mkdir(parents=True)
    (folder / "actor" / "fsdp_config.json").write_text(json.dumps({"world_size": ranks}))
    for rank in range(ranks):
        (folder / "actor" / f"model_world_size_{ranks}_rank_{rank}.pt").write_bytes(b"w")
    for name in ("tokenizer_config.json", "processor_config.json", "generation_config.json", "chat_template.jinja"):
        (huggingface / name).write_text("{}")
    if sealed:
        checkpoint_folder.seal(folder)
    return folder


@pytest.fixture
def verl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the one call of verl: weights and config, but neither tokenizer nor processor."""

    def run(actor: Path, target: Path) -> None:
        target.mkdir()
        (target / "config.json").write_text(json.dumps({"vision_config": {}}))
        (target / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(module, "_run_verl", run)


def test_a_run_means_its_newest_whole_checkpoint(tmp_path: Path) -> None:
    whole = save(tmp_path, 5)
    save(tmp_path, 10, sealed=False)

    assert find(tmp_path) == whole
    assert find(tmp_path / "checkpoints") == whole
    assert find(whole) == whole


def test_what_is_no_whole_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such folder"):
        find(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no whole checkpoint in there"):
        find(tmp_path)
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        find(save(tmp_path, 5, sealed=False))


def test_a_checkpoint_that_lost_a_file_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, 5)
    (folder / "actor" / "model_world_size_2_rank_1.pt").unlink()
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        find(folder)

    checkpoint_folder.seal(folder)  # whole by its manifest, and yet a shard short
    with pytest.raises(CheckpointError, match=r"model_world_size_2_rank_1\.pt missing"):
        find(folder)


def test_a_checkpoint_of_another_backend_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, 5)
    (folder / "actor" / "fsdp_config.json").unlink()
    checkpoint_folder.seal(folder)

    with pytest.raises(CheckpointError, match="only FSDP checkpoints merge"):
        find(folder)


def test_an_existing_folder_is_replaced_only_by_force(tmp_path: Path, verl: None) -> None:
    source, out = save(tmp_path, 5), tmp_path / "model"
    merge(source, out)
    (out / "old.txt").touch()

    with pytest.raises(CheckpointError, match="exists; choose another folder, or replace it with --force"):
        merge(source, out)
    assert (out / "old.txt").exists()

    merge(source, out, force=True)
    assert not (out / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_force_does_not_delete_what_is_no_model(tmp_path: Path, verl: None) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").touch()

    with pytest.raises(CheckpointError, match="is not a model folder"):
        merge(save(tmp_path, 5), home, force=True)
    assert (home / "thesis.tex").exists()


def test_what_verl_left_out_is_added(tmp_path: Path, verl: None) -> None:
    out = tmp_path / "deep" / "model"
    merge(save(tmp_path, 5), out)

    assert {path.name for path in out.iterdir()} == {
        *("config.json", "generation_config.json", "tokenizer_config.json", "processor_config.json"),
        *("chat_template.jinja", "model.safetensors", "README.md"),
    }


@pytest.mark.parametrize("missing", ["processor_config.json", "chat_template.jinja", "tokenizer_config.json"])
def test_half_a_model_never_appears(tmp_path: Path, verl: None, missing: str) -> None:
    folder, out = save(tmp_path, 5), tmp_path / "model"
    (folder / "actor" / "huggingface" / missing).unlink()
    checkpoint_folder.seal(folder)

    with pytest.raises(CheckpointError, match=f"the merged model has no .*{missing}"):
        merge(folder, out)
    assert not out.exists()
    assert not (tmp_path / ".model.merging").exists()


def test_a_cut_merge_leaves_nothing_in_the_way(tmp_path: Path, verl: None) -> None:
    (tmp_path / ".model.merging").mkdir()
    (tmp_path / ".model.merging" / "half.safetensors").touch()

    merge(save(tmp_path, 5), tmp_path / "model")

    assert not (tmp_path / "model" / "half.safetensors").exists()


def test_verl_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho the shard is torn\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(failing))

    with pytest.raises(CheckpointError, match=r"verl could not merge .*code 3.*\n.*the shard is torn"):
        merge(save(tmp_path, 5), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_card_says_what_the_model_is(tmp_path: Path) -> None:
    folder = save(tmp_path, 5)
    (tmp_path / "config.yaml").write_text(CONFIG)

    card = model_card(folder)

    for fact in ("nano_cpu, step 5", "`base/model`", "grpo with the gspo loss, 24 prompts x 5", "0.6 llm + 0.4 format"):
        assert fact in card
    assert "Not a medical device" in card


def test_the_card_admits_what_it_does_not_know(tmp_path: Path) -> None:
    assert "| base model | `unknown` |" in model_card(save(tmp_path, 5))
