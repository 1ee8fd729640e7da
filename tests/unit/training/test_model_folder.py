"""A policy's folder that lacks what verl needs, or brings what it must not run."""

import json

import pytest

from medix_r1.training.model_folder import model_problems
from tests.support.configs import composed


@pytest.fixture
def folder(tmp_path):
    for name, text in (("config.json", "{}"), ("tokenizer.json", "{}"), ("chat_template.jinja", "{{ messages }}")):
        (tmp_path / name).write_text(text)
    return tmp_path


def problems(folder):
    return list(model_problems(composed("experiment=nano_cpu", f"actor_rollout_ref.model.path={folder}")))


def test_a_whole_folder(folder):
    assert problems(folder) == []


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja"])
def test_a_file_that_is_not_there(folder, name):
    (folder / name).unlink()
    (problem,) = problems(folder)
    assert problem.startswith(f"actor_rollout_ref.model.path: {folder} has no ")
    assert name in problem


@pytest.mark.parametrize("name", ["chat_template.json", "tokenizer_config.json"])
def test_a_template_may_stand_elsewhere(folder, name):
    (folder / "chat_template.jinja").unlink()
    (folder / name).write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert problems(folder) == []


def test_a_model_that_verl_cannot_train_is_refused(folder):
    (folder / "config.json").write_text('{"model_type": "smolvlm"}')
    (problem,) = problems(folder)
    assert "would train without the images" in problem
