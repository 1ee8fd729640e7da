"""Composed configs for tests, sooner than Hydra makes each anew, and the same (tests/integration/test_config.py).

Hydra takes most of its time for the fifty files. Here every choice of files is composed once for all tests of a
process, and single keys are set in a copy before the values are filled in, as Hydra does it. Where a test lets Hydra
compose, the files that ship are parsed once (`files_parsed_once`).
"""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from medix_r1 import config as configs
from medix_r1.host.files import atomic_file

SHARED: list[Path] = []  # the folder where the processes of a test run keep what they compose; none before it starts
ADDRESS = "judge.client.base_url=http://127.0.0.1:1/v1"
_parse = OverridesParser.create().parse_overrides


@functools.cache
def composed(*overrides: str) -> DictConfig:
    """The training config with a judge's address; callers leave the result as it is."""
    return varied(*overrides, ADDRESS)


def set_in(*overrides: str, **values: Any) -> DictConfig:
    """A composed config with single values set in it, whatever they are: read back from pickle, which is fastest."""
    config: DictConfig = pickle.loads(_pickled(overrides))
    OmegaConf.set_struct(config, False)
    for key, value in values.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    return config


@functools.cache
def _pickled(overrides: tuple[str, ...]) -> bytes:
    return pickle.dumps(composed(*overrides))


def varied(*overrides: str) -> DictConfig:
    """What `compose_train` makes of overrides that are right: choices of files, and keys set with `=` or `+=`."""
    return configs.resolved(unsettled(*overrides))


def unsettled(*overrides: str) -> DictConfig:
    """What Hydra composes, before values are filled in and checked."""
    files = tuple(text for text, parsed in zip(overrides, _parse(list(overrides)), strict=True) if _is_file(parsed))
    config: DictConfig = pickle.loads(_of_files(files))
    for parsed in _parse([text for text in overrides if text not in files]):
        assert not parsed.is_delete(), f"for compose_train: {parsed.input_line}"
        added = parsed.is_add() or parsed.is_force_add()
        OmegaConf.update(config, parsed.key_or_group, parsed.value(), merge=True, force_add=added)
    return config


@functools.cache
def _of_files(files: tuple[str, ...]) -> bytes:
    """Pickled: OmegaConf takes three times as long to copy a config as to read it back."""
    kept = SHARED[-1] / hashlib.sha256("\n".join(files).encode()).hexdigest() if SHARED else None
    if kept is not None and kept.is_file():
        return kept.read_bytes()
    content = pickle.dumps(configs.unresolved("train", files))
    if kept is not None:
        with atomic_file(kept) as temporary:
            temporary.write_bytes(content)
    return content


@contextmanager
def files_parsed_once() -> Iterator[None]:
    """Within the block, Hydra parses the files of `configs/`, of verl and of its own once; others each time."""
    Plugins.instance()  # fills the registry
    ships = f"file://{configs.config_dir()}", f"file://{configs.verl_config_dir()}", "pkg://"
    with pytest.MonkeyPatch.context() as patch:
        for scheme in ("file", "pkg"):
            _keep_parsed(SourcesRegistry.instance().resolve(scheme), ships, patch)
        yield


def _keep_parsed(source: type[Any], ships: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
    parse, kept = source.load_config, {}

    def load_config(self: Any, config_path: str) -> Any:
        if not f"{self.scheme()}://{self.path}".startswith(ships):
            return parse(self, config_path)
        key = self.provider, self.path, config_path
        if key not in kept:
            kept[key] = pickle.dumps(parse(self, config_path))
        return pickle.loads(kept[key])

    patch.setattr(source, "load_config", load_config)


def _is_file(override: Override) -> bool:
    return any(
        (folder / override.key_or_group).is_dir() for folder in (configs.config_dir(), configs.verl_config_dir())
    )


def choices(group: str) -> list[str]:
    """Names of the YAML files of a group."""
    return sorted(path.stem for path in (configs.config_dir() / group).glob("*.yaml"))
