"""What every place that lets Hydra compose a config shares: how it starts Hydra, and what can go wrong.

OmegaConf derives its loader from `yaml.SafeLoader`, PyYAML's parser in Python, at each of the fifty files of a training
config. PyYAML's own parser in C makes the same of each file, sooner (docs/cpu.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

# The last two: a file that is no YAML, and what Hydra makes of judge=nan.
NOT_COMPOSED = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError)


@contextmanager
def composing(folder: Path, *, job_name: str = "app") -> Iterator[None]:
    """Hydra with a folder of YAML files, whatever it composed before; within, OmegaConf parses in C where it can."""
    module: Any = yaml
    slow = module.SafeLoader
    GlobalHydra.instance().clear()
    module.SafeLoader = getattr(module, "CSafeLoader", slow)  # PyYAML may have come without libyaml
    try:
        with initialize_config_dir(config_dir=str(folder), version_base="1.3", job_name=job_name):
            yield
    finally:
        module.SafeLoader = slow
