"""A policy's folder that lacks what verl needs, or brings what it must not run."""

import json
import os
from pathlib import Path

import pytest
from huggingface_hub import constants

from medix_r1.training.preflight.model.model_folder import model_problems
from tests.support.configs import composed
from tests.support.problems import codes

KEY = "actor_rollout_ref.model.path"


@pytest.fixture
def folder(tmp_path):
    for name, text in (("config.json", "{}"), ("tokenizer.json", "{}"), ("chat_template.jinja", "{{ messages }}")):
        (tmp_path / name).write_text(text)
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    return tmp_path


def problems(folder):
    return list(model_problems(composed("experiment=nano_cpu", f"actor_rollout_ref.model.path='{folder}'")))


def test_a_whole_folder(folder):
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("config.json", "no-model-config"),
        ("tokenizer.json", "no-tokenizer"),
        ("chat_template.jinja", "no-chat-template"),
    ],
)
def test_a_file_that_is_not_there(folder, name, code):
    (folder / name).unlink()
    (problem,) = problems(folder)
    assert (problem.key, problem.code) == (KEY, code)
    assert name in problem.text


@pytest.mark.parametrize("name", ["chat_template.json", "tokenizer_config.json"])
def test_a_template_may_stand_elsewhere(folder, name):
    (folder / "chat_template.jinja").unlink()
    (folder / name).write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert problems(folder) == []


def test_a_model_that_verl_cannot_train_is_refused(folder):
    (folder / "config.json").write_text('{"model_type": "smolvlm"}')
    assert codes(problems(folder)) == [(KEY, "processor-not-loadable")]


@pytest.mark.parametrize("path", ["./missing", "../missing", "~/missing", "models/my model", "/missing", "a/b/c"])
def test_what_can_be_no_name_on_the_hub_is_a_folder_that_is_not_there(path):
    assert codes(problems(path)) == [(KEY, "no-such-model")]
    assert problems("somebody/some-model") == []


def save(path, size=8):
    """Two numbers of four bytes, cut short after `size` bytes of data."""
    text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    os.truncate(path, 8 + len(text) + size)


def test_weights_that_are_not_whole(folder):
    """An interrupted download, a pruned cache, a Git LFS pointer: each is named, with what to do."""
    save(folder / "model-0.safetensors")
    assert problems(folder) == []
    save(folder / "model-1.safetensors", size=4)
    (folder / "model-2.safetensors").touch()
    (folder / "model-3.safetensors").symlink_to(folder / "pruned")
    (folder / "model-4.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    found = problems(folder)
    assert codes(found) == [(KEY, "weights-not-whole")] * 4
    for number, problem in enumerate(found, 1):
        assert f"{folder}/model-{number}.safetensors" in problem.text


def test_weights_in_the_hubs_cache(tmp_path: Path, monkeypatch):
    """What is there and broken would be loaded; what is gone the hub gives again."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--org--name/refs").mkdir(parents=True)
    (tmp_path / "models--org--name/refs/main").write_text("abc")
    snapshot = tmp_path / "models--org--name/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model-1.safetensors").symlink_to(tmp_path / "pruned")
    assert problems("org/name") == []
    (snapshot / "model-2.safetensors").touch()
    (problem,) = problems("org/name")
    assert (problem.key, problem.code) == (KEY, "weights-not-whole")
    assert f"{snapshot}/model-2.safetensors" in problem.text
