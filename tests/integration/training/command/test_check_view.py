"""What `medix-r1 check` prints."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from medix_r1 import config as configs
from medix_r1.errors import Problem
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command import resume
from medix_r1.training.command.check_view import show_check

RECIPE = ["experiment=medix_r1_8b_grpo", "judge.client.base_url=http://127.0.0.1:1/v1"]


def shown(*overrides: str) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    code = show_check(list(overrides), [], 80.0, console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_seven_gpus_are_explained() -> None:
    code, text = shown(*RECIPE, "trainer.n_gpus_per_node=7", "actor_rollout_ref.rollout.tensor_model_parallel_size=1")
    assert code == 1
    assert [word for word in ("rollout_batch_size", "global_batch_size", "(2560 -> 4480)") if word not in text] == []
    assert "  - actor_rollout_ref.actor.ppo_mini_batch_size: " in text


def test_a_missing_value_hides_neither_batches_nor_problems() -> None:
    code, text = shown("experiment=medix_r1_8b_grpo")
    assert code == 1
    assert "512 x 5 = 2560" in text
    assert "  - judge.client.base_url: " in text
    assert "  - data.train_files: " in text


def test_it_says_what_train_says_about_the_folder(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder that train would not go on in is a problem here as well."""
    monkeypatch.setattr(
        resume, "problems", lambda folder, config, changed: [Problem("run.dir", "x", f"not {folder.root}")]
    )
    code, text = shown(*RECIPE, f"run.dir={tmp_path}")
    assert code == 1
    assert f"  - run.dir: not {RunFolder(tmp_path).root}" in text


def test_the_memory_of_a_model_that_is_not_here(tmp_path) -> None:
    _, text = shown(*RECIPE, f"actor_rollout_ref.model.path={tmp_path}")
    assert "KV cache" not in text


def test_gpus_besides_those_that_train_are_counted() -> None:
    _, text = shown(*RECIPE, "judge=verl")
    assert "8 that train + 2 that judge = 10" in text
    _, text = shown(*RECIPE, "trainer=separate_async")
    assert "8 that train + 8 that generate = 16" in text


def test_nothing_is_written(tmp_path) -> None:
    shown(*RECIPE, f"run.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_a_mistyped_folder_is_said_to_be_missing() -> None:
    code, text = shown(*RECIPE, "actor_rollout_ref.model.path=./missing")
    assert code == 1
    assert "  - actor_rollout_ref.model.path: ./missing " in text


def test_a_shared_gpu_without_a_share_of_its_memory() -> None:
    words = ("experiment=nano_cpu", "placement=shared", "placement.judge_memory=null", "trainer.device=cuda")
    code, text = shown(*words)
    assert code == 1
    assert "  - placement.judge_memory: None " in text


def test_a_check_composes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second and more each time."""
    composed: list[object] = []
    compose = configs.composed_train
    monkeypatch.setattr(configs, "composed_train", lambda *words: composed.append(words) or compose(*words))
    shown("experiment=nano_cpu")
    assert len(composed) == 1
