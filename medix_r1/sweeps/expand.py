"""Expands a command line into the runs of a sweep, with Hydra's parser, sweeper and composition.

Hydra's `multirun` starts runs while it expands the sweep. Here all runs are known first, so that they are checked
together and finished ones are skipped. Hydra's launcher plug-ins then start the others (launch.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import get_valid_filename
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from medix_r1 import config as configs
from medix_r1.composing import NOT_COMPOSED, composing
from medix_r1.errors import ConfigError, Problem
from medix_r1.schema import command_line
from medix_r1.schema.command_line import quoted

_QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null")  # run folders have the logs
_LONGEST = 40  # characters, of a value in a folder's name
_BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a sweep: its name, which is also its folder's, and its overrides."""

    name: str
    folder: Path
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """All runs of one command, with what Hydra's launchers need to start them."""

    name: str
    folder: Path
    jobs: tuple[Job, ...]
    config: DictConfig
    loader: ConfigLoader

    @property
    def batch_size(self) -> int | None:
        """Maximal number of runs that a launcher gets at a time; None for all."""
        size: int | None = self.config.hydra.sweeper.max_batch_size
        return size


def is_sweep(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> bool:
    """Whether the config sets `hydra.mode: MULTIRUN`, as Hydra's own command line reads it.

    False if it cannot be composed; composing the single run then reports the problem.
    """
    try:
        return bool(_load(overrides, config_dirs, validate=False)[0].hydra.mode == RunMode.MULTIRUN)
    except ConfigError:
        return False


def expand(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Sweep:
    """Expand a command line into all runs of the sweep, in order; nothing is written.

    Raises:
        ConfigError: the command line cannot be composed, or no key has several values.
    """
    config, loader = _load(overrides, config_dirs)
    if not isinstance(config.hydra.sweeper, DictConfig) or config.hydra.sweeper.get("_target_") != _BASIC:
        raise ConfigError.of(
            "hydra/sweeper",
            "not-a-choice",
            "only `basic` is known here: all runs are checked before the first starts",
        )
    try:
        name, folder = _fill_names(config)
    except OmegaConfBaseException as error:
        raise ConfigError.of("hydra.sweep.dir", "not-resolved", str(error).splitlines()[0]) from error
    # Not resolved: `data.seed=${run.seed}` means the seed of each run, not that of the config that holds the sweep.
    as_typed = _as_typed(config)
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    swept_by_file = sweeper.get("params") or {}
    params = [f"{key}={values}" for key, values in swept_by_file.items()]
    try:
        parsed = OverridesParser.create(loader).parse_overrides([*params, *as_typed])
        ((*runs,),) = BasicSweeper.split_arguments(parsed, None)
    except HydraException as error:
        raise ConfigError.of("sweep", "not-composed", " ".join(str(error).split())) from error
    swept = [
        parsed[i].get_key_element() for i in range(len(parsed)) if i < len(params) or parsed[i].is_sweep_override()
    ]
    swept = list(dict.fromkeys(swept))
    if problems := _problems(swept if runs else (), config):
        raise ConfigError(problems)
    different = dict.fromkeys(tuple(run) for run in runs)  # equal values make equal runs, which would share a folder
    return Sweep(name, folder, tuple(_job(name, folder, run, swept) for run in different), config, loader)


def _problems(swept: Sequence[str], config: DictConfig) -> list[Problem]:
    problems = []
    if not swept:
        problems.append(
            Problem(
                "-m",
                "nothing-swept",
                "nothing is swept; give a key several values, such as run.seed=1,2, or leave out -m",
            )
        )
    given = [line.partition("=")[0].lstrip("+") for line in _as_typed(config)]
    for key, instead in (("run.dir", "hydra.sweep.dir is the folder of a sweep"), ("run.name", "experiment names it")):
        if key in given or key in swept:
            problems.append(Problem(key, "set-by-each-run", f"each run of a sweep has its own; {instead}"))
    return problems


def _as_typed(config: DictConfig) -> list[str]:
    """The overrides of the command line, not resolved."""
    lines: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return [str(line) for line in lines]


def _job(sweep: str, folder: Path, overrides: Sequence[str], swept: Sequence[str]) -> Job:
    values = dict(_split(override) for override in overrides)
    short = [key.rpartition(".")[2].rpartition("/")[2] for key in swept]
    keys = short if len(set(short)) == len(short) else [key.replace("/", ".") for key in swept]
    name = "__".join(f"{key.lstrip('+')}-{_as_name(values[full])}" for key, full in zip(keys, swept, strict=True))
    own = (f"run.dir={quoted(str(folder / name))}", f"run.name={quoted(f'{sweep}__{name}')}")
    return Job(name, folder / name, (*overrides, *own))


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _as_name(value: str) -> str:
    """A value as part of a folder's name; a value that had to be changed or cut gets a hash, so that names differ."""
    name = get_valid_filename(value)[:_LONGEST]
    return name if name == value else f"{name}-{hashlib.sha256(value.encode()).hexdigest()[:6]}"


def _fill_names(config: DictConfig) -> tuple[str, Path]:
    """Fix the sweep's name and folder in the config, because Hydra's launchers compose each job again."""
    with open_dict(config):
        config.run.name = name = str(config.hydra.runtime.choices.get("experiment") or "unnamed")
        config.hydra.sweep.dir = str(config.hydra.sweep.dir)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(config.hydra.sweep.dir)}")
    return name, Path(config.hydra.sweep.dir)


def _load(
    overrides: Sequence[str], config_dirs: Sequence[Path], *, validate: bool = True
) -> tuple[DictConfig, ConfigLoader]:
    with composing(configs.config_dir(), job_name="medix-r1"):
        loader = GlobalHydra.instance().config_loader()
        good, problems = command_line.parse(overrides)
        choices = command_line.wrong_choices(good, [configs.config_dir(), *config_dirs], [configs.verl_config_dir()])
        if problems := [*problems, *choices.values()]:
            left = [text for text in good if text not in choices]
            unknown = command_line.unknown_overrides(left)
            values = command_line.wrong_values([text for text in left if text not in unknown])
            raise ConfigError([*problems, *unknown.values(), *values.values()])
        every = [configs.search_path(config_dirs), *_QUIET, *good]
        try:
            config = loader.load_configuration("train", every, RunMode.MULTIRUN, validate_sweep_overrides=validate)
        except NOT_COMPOSED as error:
            problem = _explain(error)
            others = command_line.unknown_overrides(good).values()
            raise ConfigError([problem, *(one for one in others if one.key != problem.key)]) from error
    return config, loader


def _explain(error: Exception) -> Problem:
    if str(getattr(error, "missing_cfg_file", "")).startswith("hydra/launcher/submitit"):
        return Problem(
            "hydra/launcher",
            "launcher-not-installed",
            "needs hydra-submitit-launcher; in the clone: pip install -e '.[slurm]'",
        )
    return configs.composing_problem(error)
