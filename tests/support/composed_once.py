"""Hydra with its files read once and each choice of them merged once, for tests that compose hundreds of configs.

Parsing of overrides, the defaults list, what single keys are set to, and every error are Hydra's own and done anew.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.default_element import ResultDefault


def compose_once(patch: pytest.MonkeyPatch) -> None:
    """Keep, for as long as `patch` holds, what the files of a process give; they may not change meanwhile."""
    patch.setattr(FileConfigSource, "load_config", _read_once(FileConfigSource.load_config))
    name = "_compose_config_from_defaults_list"
    patch.setattr(ConfigLoaderImpl, name, _merged_once(getattr(ConfigLoaderImpl, name)))


def _read_once(load: Callable[[FileConfigSource, str], Any]) -> Callable[[FileConfigSource, str], Any]:
    kept: dict[tuple[str, str], tuple[Any, bytes]] = {}

    def load_config(source: FileConfigSource, config_path: str) -> Any:
        key = source.path, config_path
        if key not in kept:
            found = load(source, config_path)
            kept[key] = replace(found, config=None), pickle.dumps(found.config)
        found, config = kept[key]
        return replace(found, config=pickle.loads(config))

    return load_config


def _merged_once(merge: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[tuple[Any, ...], bytes] = {}

    def merged(loader: ConfigLoaderImpl, defaults: Sequence[ResultDefault], repo: Any) -> Any:
        key = *(source.path for source in repo.get_sources()), *((one.config_path, one.package) for one in defaults)
        if key not in kept:
            kept[key] = pickle.dumps(merge(loader, defaults, repo))
        return pickle.loads(kept[key])

    return merged
