"""Composed configs, each made once for all tests of a process: one takes a second and more."""

from __future__ import annotations

import functools

from omegaconf import DictConfig

from medix_r1 import config as configs

ADDRESS = "judge.client.base_url=http://127.0.0.1:1/v1"


@functools.cache
def composed(*overrides: str) -> DictConfig:
    """Compose with a judge's address; callers leave the result as it is."""
    return configs.compose_train([*overrides, ADDRESS])


def choices(group: str) -> list[str]:
    """Names of the YAML files of a group."""
    return sorted(path.stem for path in (configs.config_dir() / group).glob("*.yaml"))
