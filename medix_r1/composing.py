"""Initialises Hydra with PyYAML's faster parser, and instantiates nodes of a config.

For each of the fifty files of a training config, OmegaConf derives a loader from `yaml.SafeLoader`, PyYAML's parser in
Python. PyYAML's parser in C gives the same results and is faster (docs/cpu.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hydra.utils
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medix_r1 import user_code
from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import LOADER

# Errors of composing. YAMLError: a file is no YAML. ValueError: Hydra raises it for `judge=nan`. RecursionError: a file
# includes itself. AttributeError: OmegaConf cannot merge a mapping into a null of Hydra's own.
NOT_COMPOSED = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError, AttributeError)


@contextmanager
def composing(folder: Path, *, job_name: str = "app") -> Iterator[None]:
    """Initialise Hydra with a folder of YAML files; within the block, OmegaConf uses the C parser where it exists."""
    module: Any = yaml
    slow = module.SafeLoader
    GlobalHydra.instance().clear()
    module.SafeLoader = LOADER
    try:
        with initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=job_name):
            yield
    finally:
        module.SafeLoader = slow


def plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, not resolved."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def instantiate(node: Any, key: str) -> Any:
    """Build what the `_target_` of a resolved node names, which may be in a file of the user's own.

    Args:
        node: a mapping with `_target_`.
        key: its config key, for error messages.

    Raises:
        ConfigError: the class refuses its settings.
    """
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    try:
        return hydra.utils.instantiate(user_code.importable(plain), _convert_="all")
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from error
        says = f"{type(cause).__name__}: {cause}" if cause else str(error)
        raise ConfigError.of(key, "settings-refused", says.splitlines()[0]) from error


def without_missing(node: Mapping[str, Any], instead: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """A plain node without the values that are missing (`???`), so that its class can look at the others.

    Args:
        node: may hold lists of nodes.
        instead: name → value for names that the class requires.
    """
    found: dict[str, Any] = {}
    for name, value in node.items():
        if isinstance(value, Mapping):
            found[name] = without_missing(value, instead)
        elif isinstance(value, list):
            found[name] = [without_missing(one, instead) if isinstance(one, Mapping) else one for one in value]
        elif value != "???":
            found[name] = value
        elif name in instead:
            found[name] = instead[name]
    return found


def instantiate_each(nodes: Mapping[str, Any], key: str) -> dict[str, Any]:
    """`instantiate` every node of a mapping; those that are null are left out.

    Raises:
        ConfigError: as `instantiate`.
    """
    return {name: instantiate(node, f"{key}.{name}") for name, node in nodes.items() if node is not None}
