"""`medix-r1 check`: prints what counts in a run, its batch arithmetic, a memory estimate and its problems."""

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
from medix_r1.training.command.check_difference import Changes, changes
from medix_r1.training.command.check_simulation import show_simulation
from medix_r1.training.command.check_summary import summary
from medix_r1.training.command.plan import Plan, plan_of
from medix_r1.training.preflight import checks
from medix_r1.training.preflight.machine import hardware, host_memory, memory, placement
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.references import reference_notices


def show_check(
    overrides: Sequence[str],
    config_dirs: Sequence[Path],
    gpu_gib: float,
    console: Console,
    *,
    host_gib: float | None = None,
    offline: bool = False,
    diff: bool = False,
    simulated: bool = False,
    pictures: int | None = None,
) -> int:
    """Print everything; returns the exit code, 1 when there is a problem.

    Args:
        overrides: as on Hydra's command line.
        config_dirs: a user's folders of config groups.
        gpu_gib: memory of one GPU, in GiB.
        console: prints.
        host_gib: memory of one node, in GiB; None for what is free on this machine.
        offline: look at no data, no weights, no server and no machine.
        diff: print also what differs from the recipe that the experiment was made from.
        simulated: simulate a step at real size too.
        pictures: with `simulated`: of a micro-batch of the update; None takes as many of the largest as fit.

    Raises:
        ConfigError: the config does not compose.
    """
    composed = configs.composed_train(overrides, config_dirs)
    config = composed.config
    planned, problems = (None, checks.problems_of(composed, offline=True)) if offline else _planned(composed)
    if host_gib is not None and not composed.problems:
        others = [problem for problem in problems if problem.code != host_memory.TOO_LITTLE]
        problems = [*others, *host_memory.problems(config, host_gib * memory.GIB)]
    if not composed.problems:
        if diff:
            _show_changes(changes(overrides, config_dirs), console)
        with contextlib.suppress(MissingMandatoryValue):
            console.print(_table(str(config.run.name), summary(config)))
        with contextlib.suppress(MissingMandatoryValue):  # a missing value; it is among the problems
            console.print(_table("batches", batches.of_config(config).lines() | placement.gpu_pools(config)))
            _show_memory(config, gpu_gib, console)
            if simulated:
                problems = [*problems, *show_simulation(config, gpu_gib, console, pictures)]
    for notice in [] if offline or composed.problems else reference_notices(config):
        console.print(f"  - [yellow]only said, not refused:[/] {escape(notice)}", highlight=False)
    if host_gib is not None and not composed.problems and (said := host_memory.notice(config, host_gib * memory.GIB)):
        console.print(f"  - [yellow]only said, not refused:[/] {said}", highlight=False)
    for problem in problems:
        console.print(f"  - {escape(str(problem))}", highlight=False)
    if planned is not None and planned.resume_from is not None:
        console.print(f"{escape(str(planned.folder.root))} {planned.standing}", highlight=False)
    if not composed.problems and (unseen := _unseen(config, offline)):
        console.print(f"not looked at: {unseen}", highlight=False)
    console.print(f"[red]{len(problems)} problem(s)[/]" if problems else "[green]no problem found[/]")
    return 1 if problems else 0


def _planned(composed: configs.Composed) -> tuple[Plan | None, Sequence[Problem]]:
    """What `train` with the same arguments would do, or the problems for which it would not start."""
    try:
        return plan_of(composed), []
    except ConfigError as error:
        return None, error.problems


def _unseen(config: DictConfig, offline: bool) -> str:
    """What was not checked, for the line before the last; empty if all was."""
    if offline:
        return "data, weights, judge, keys, disk and machine (--offline)"
    if config.trainer.device != "cpu" and not hardware.has_gpu():
        return "GPUs, logical CPUs and memory of the machine that trains; this one has no GPU"
    return ""


def _show_changes(found: Changes, console: Console) -> None:
    rows = {key: f"{before!r} -> {now!r}" for key, (before, now) in found.keys.items()}
    console.print(_table(f"differs from {found.recipe}", rows or {"": "in nothing"}))


def _show_memory(config: DictConfig, gpu_gib: float, console: Console) -> None:
    try:
        size = memory.size_of(config.actor_rollout_ref.model.path)
    except ConfigError as error:
        console.print(f"memory and disk: no estimate; {escape(str(error).splitlines()[0])}", highlight=False)
        return
    found = memory.estimate(size, config, gpu_gib * memory.GIB)
    console.print(_table(f"one rank while it updates (estimate, {gpu_gib:g} GiB a GPU)", _gib(found.update)))
    console.print(_table("one rank while it computes the old log-probs", _gib(found.log_probs)))
    if found.reference:
        console.print(_table("one rank while it computes the reference's", _gib(found.reference)))
    console.print(_table("one rank while vLLM generates", _gib(found.rollout)))
    host = host_memory.estimate(config, host_memory.most_pixels(config))
    console.print(_table("memory of one node besides (estimate, at most)", _gib(host)))


def _table(title: str, rows: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, show_header=False)
    for name, text in rows.items():
        table.add_row(name, escape(text))
    return table


def _gib(parts: Mapping[str, float]) -> dict[str, str]:
    rows = {name: f"{size / memory.GIB:8.2f} GiB" for name, size in parts.items()}
    return {**rows, "together": f"{sum(parts.values()) / memory.GIB:8.2f} GiB"}
