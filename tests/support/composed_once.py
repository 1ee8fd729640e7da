"""Hydra with its files read once and each choice of them merged once, for tests that compose hundreds of configs.

Parsing of overrides, the defaults list, what single keys are set to, and every error are Hydra's own and done anew.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.default_element import ResultDefault


def compose_once(patch: pytest.MonkeyPatch) -> None:
    """Keep, for as long as `patch` holds, what the files of a process give; they may not change meanwhile."""
    patch.setattr(ConfigRepository, "load_config", _read_once(ConfigRepository.load_config))
    name = "_compose_config_from_defaults_list"
    patch.setattr(ConfigLoaderImpl, name, _merged_once(getattr(ConfigLoaderImpl, name)))


def _read_once(load: Callable[[ConfigRepository, str], Any]) -> Callable[[ConfigRepository, str], Any]:
    kept: dict[tuple[str, ...], bytes] = {}

    def load_config(repo: ConfigRepository, config_path: str) -> Any:
        key = (config_path, *(str(source.path) for source in repo.get_sources()))
        if key not in kept:
            kept[key] = pickle.dumps(load(repo, config_path))
        return pickle.loads(kept[key])

    return load_config


def _merged_once(merge: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[tuple[Any, ...], bytes] = {}

    def merged(loader: ConfigLoaderImpl, defaults: Sequence[ResultDefault], repo: Any) -> Any:
        key = *(source.path for source in repo.get_sources()), *((one.config_path, one.package) for one in defaults)
        if key not in kept:
            kept[key] = pickle.dumps(merge(loader, defaults, repo))
        return pickle.loads(kept[key])

    return merged
