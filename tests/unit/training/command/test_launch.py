"""Ray of our own, or one that runs already."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medix_r1.training.command.launch import set_ray_init
from tests.support.configs import varied


@pytest.fixture
def ray_init():
    def settings(*overrides):
        config = varied("experiment=nano_cpu", *overrides)  # not a kept one: it reads the environment
        OmegaConf.set_struct(config, False)
        return config.ray_kwargs.ray_init

    return settings


def test_a_run_starts_its_own_ray_in_its_scratch_folder(ray_init, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = ray_init()
    set_ray_init(settings, Path("/tmp/scratch"))

    assert settings._temp_dir == "/tmp/scratch"
    assert settings.num_gpus == 1


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_running_cluster_is_not_told_how_to_start(ray_init, monkeypatch, by_variable):
    """`ray.init(address=…, num_gpus=1)` raises."""
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    settings = ray_init() if by_variable else ray_init("ray_kwargs.ray_init.address=10.0.0.2:6379")
    set_ray_init(settings, Path("/tmp/scratch"))

    assert settings.address == ("10.0.0.1:6379" if by_variable else "10.0.0.2:6379")
    assert set(settings) == {"address", "runtime_env"}
