"""`medix-r1 check`: prints a run's problems, its batch arithmetic and a memory estimate."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.training.command.plan import plan_of
from medix_r1.training.preflight import batches, memory, placement
from medix_r1.training.preflight.references import reference_notices


def show_check(overrides: Sequence[str], config_dirs: Sequence[Path], gpu_gib: float, console: Console) -> int:
    """Print everything; returns the exit code, 1 when there is a problem.

    Args:
        overrides: as on Hydra's command line.
        config_dirs: a user's folders of config groups.
        gpu_gib: memory of one GPU, in GiB.
        console: prints.

    Raises:
        ConfigError: the config does not compose.
    """
    config = configs.compose_train(overrides, config_dirs)
    problems = _problems(config)
    with contextlib.suppress(MissingMandatoryValue):  # a missing value; it is among the problems
        console.print(_table("batches", batches.of_config(config).lines() | placement.gpu_pools(config)))
        _show_memory(config, gpu_gib, console)
    for notice in reference_notices(config):
        console.print(f"  - [yellow]only said, not refused:[/] {escape(notice)}", highlight=False)
    for problem in problems:
        console.print(f"  - {escape(str(problem))}", highlight=False)
    console.print(f"[red]{len(problems)} problem(s)[/]" if problems else "[green]no problem found[/]")
    return 1 if problems else 0


def _problems(config: DictConfig) -> Sequence[Problem]:
    """The problems for which `train` with the same arguments would not start."""
    try:
        plan_of(config)
    except ConfigError as error:
        return error.problems
    return []


def _show_memory(config: DictConfig, gpu_gib: float, console: Console) -> None:
    try:
        size = memory.size_of(Path(config.actor_rollout_ref.model.path).expanduser())
    except ConfigError as error:
        console.print(f"memory and disk: no estimate; {escape(str(error).splitlines()[0])}", highlight=False)
        return
    found = memory.estimate(size, config, gpu_gib * memory.GIB)
    console.print(_table(f"one rank while it updates (estimate, {gpu_gib:g} GiB a GPU)", _gib(found.update)))
    console.print(_table("one rank while vLLM generates", _gib(found.rollout)))


def _table(title: str, rows: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, show_header=False)
    for name, text in rows.items():
        table.add_row(name, escape(text))
    return table


def _gib(parts: Mapping[str, float]) -> dict[str, str]:
    rows = {name: f"{size / memory.GIB:8.2f} GiB" for name, size in parts.items()}
    return {**rows, "together": f"{sum(parts.values()) / memory.GIB:8.2f} GiB"}
