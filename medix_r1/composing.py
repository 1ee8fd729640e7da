"""Initialises Hydra with PyYAML's faster parser, and instantiates nodes of a config.

For each of the fifty files of a training config, OmegaConf derives a loader from `yaml.SafeLoader`, PyYAML's parser in
Python. PyYAML's parser in C gives the same results and is faster (docs/cpu.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra.utils
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medix_r1 import user_code
from medix_r1.errors import ConfigError

# Errors of composing. YAMLError: a file is no YAML. ValueError: Hydra raises it for `judge=nan`.
NOT_COMPOSED = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError)


@contextmanager
def composing(folder: Path, *, job_name: str = "app") -> Iterator[None]:
    """Initialise Hydra with a folder of YAML files; within the block, OmegaConf uses the C parser where it exists."""
    module: Any = yaml
    slow = module.SafeLoader
    GlobalHydra.instance().clear()
    module.SafeLoader = getattr(module, "CSafeLoader", slow)  # PyYAML may be built without libyaml
    try:
        with initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=job_name):
            yield
    finally:
        module.SafeLoader = slow


def instantiate(node: Any, key: str) -> Any:
    """Hydra's `instantiate` for a resolved node, whose `_target_`s may also name files of a user.

    Args:
        node: a mapping with `_target_`, or a mapping of such.
        key: its config key, for error messages.

    Raises:
        ConfigError: a class refuses its settings.
    """
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    try:
        return hydra.utils.instantiate(user_code.importable(plain), _convert_="all")
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from error
        below = str(error).partition("full_key: ")[2]
        says = f"{type(cause).__name__}: {cause}" if cause else str(error)
        where = f"{key}.{below}" if below else key
        raise ConfigError.of(where, "settings-refused", says.splitlines()[0]) from error
