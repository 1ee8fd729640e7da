"""Room for checkpoints, by the sizes in the headers of safetensors files."""

import json
import os
import shutil
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from medix_r1.training.preflight.machine import disk
from tests.support.configs import composed
from tests.support.problems import codes

GIB = 1024**3
SIDE = 2**14  # of one weight: 2**28 parameters, 1 GiB in fp32
VISION = 2**20


def write_weight(path, name, side):
    """A safetensors file of one square weight, whose data is a hole that takes no disk."""
    size = 2 * side**2
    weight = {"dtype": "BF16", "shape": [side, side], "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {"format": "pt"}, name: weight}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + size)


@pytest.fixture
def big(tmp_path, monkeypatch):
    """A run of a model of 1 GiB and free bytes as a test says."""
    model = tmp_path / "model"
    model.mkdir()
    write_weight(model / "model-1.safetensors", "model.language_model.a.weight", SIDE)
    write_weight(model / "model-2.safetensors", "model.visual.b.weight", 1024)

    def compose(*overrides, free):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        paths = (f"actor_rollout_ref.model.path={model}", f"run.dir={tmp_path / 'run'}")
        return composed("experiment=nano_cpu", *paths, *overrides)

    return compose


def test_a_checkpoint_is_weights_and_two_moments(big):
    found = disk.checkpoints(big(free=0))
    assert found == disk.Checkpoints(number=5, size=3 * 4 * (SIDE**2 + VISION))  # 3 kept, one written, the best


@pytest.mark.parametrize(
    ("overrides", "number", "size"),
    [
        (["actor_rollout_ref.actor.freeze_vision_tower=true"], 5, 4 * (3 * SIDE**2 + VISION)),
        (["lora=rank64"], 5, 4 * (SIDE**2 + VISION)),
        (["actor_rollout_ref.actor.optim.optimizer=CompensatedAdamW"], 5, 4 * 4 * (SIDE**2 + VISION)),
        (["run.keep_checkpoints=1", "run.best_metric=null"], 2, 12 * (SIDE**2 + VISION)),
        (["run.keep_checkpoints=null"], 6, 12 * (SIDE**2 + VISION)),  # 30 steps, every 5
        (["trainer.total_training_steps=10"], 2, 12 * (SIDE**2 + VISION)),
    ],
)
def test_how_many_and_how_large(big, overrides, number, size):
    assert disk.checkpoints(big(*overrides, free=0)) == disk.Checkpoints(number, size)


def test_a_disk_that_checkpoints_would_fill(big, tmp_path):
    (problem,) = disk.disk_problems(big(free=14 * GIB))
    assert (problem.key, problem.code) == ("run.dir", "disk-too-small")
    assert [word for word in ("14 GiB", " 5 ", "3 GiB", "15 GiB") if word not in problem.text] == []
    assert list(disk.disk_problems(big(free=16 * GIB))) == []
    for step in (5, 10):
        (tmp_path / f"run/checkpoints/global_step_{step}").mkdir(parents=True)
    assert list(disk.disk_problems(big(free=14 * GIB))) == []


def test_a_model_of_unknown_size_needs_some_room(big):
    config = big(free=GIB // 2).copy()
    OmegaConf.update(config, "actor_rollout_ref.model.path", "somebody/no-such-model")
    assert disk.checkpoints(config) is None
    assert codes(disk.disk_problems(config)) == [("run.dir", "disk-full")]


@pytest.mark.parametrize("model", ["./missing", "../missing", "~/missing", "models/my model", "/missing"])
def test_a_path_that_is_no_name_on_the_hub_is_not_looked_for_there(big, model):
    config = big(free=64 * GIB).copy()
    OmegaConf.update(config, "actor_rollout_ref.model.path", model)
    assert list(disk.disk_problems(config)) == []


@pytest.mark.parametrize("content", [b"", b"0123456789", b"\2\0\0\0\0\0\0\0[]", None])
def test_a_broken_weight_file_has_no_size(big, tmp_path, content):
    """Nor has the model, of which the other files are but a part."""
    broken = tmp_path / "model/model-2.safetensors"
    broken.unlink()
    if content is None:
        broken.symlink_to(tmp_path / "pruned")
    else:
        broken.write_bytes(content)
    assert disk.checkpoints(big(free=0)) is None
    assert list(disk.disk_problems(big(free=64 * GIB))) == []
