"""Checks every run of a sweep before the first starts, with all problems in one list, and finds finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from medix_r1.errors import ConfigError, Problem
from medix_r1.sweeps.expand import Job, Sweep
from medix_r1.training.command.plan import Plan, make_plan

_NAMED = 3  # runs that a problem names when only some runs have it


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A run of a sweep with its plan."""

    job: Job
    plan: Plan

    @property
    def is_finished(self) -> bool:
        return self.plan.is_finished

    @property
    def standing(self) -> str:
        """The run's state in words: finished, resuming, or new."""
        return "finished" if self.is_finished else self.plan.standing


def plan(sweep: Sweep, config_dirs: Sequence[Path] = ()) -> list[PlannedJob]:
    """Compose and check every run; nothing is loaded or written.

    Raises:
        ConfigError: the problems of all runs; a problem that several runs share is listed once.
    """
    planned: list[PlannedJob] = []
    problems: dict[Problem, list[str]] = {}
    for job in sweep.jobs:
        try:
            planned.append(PlannedJob(job, make_plan([*job.overrides, "hydra.mode=RUN"], config_dirs)))
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(job.name)
    if problems:
        raise ConfigError([problem.and_also(_whose(names, sweep)) for problem, names in problems.items()])
    return planned


def _whose(names: Sequence[str], sweep: Sweep) -> str:
    if len(names) == len(sweep.jobs):
        return f"all {len(names)} runs"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"in {', '.join(names[:_NAMED])}{more}"


def show_jobs(sweep: Sweep, console: Console) -> None:
    """Print the overrides of each run, including its folder."""
    for number, job in enumerate(sweep.jobs, 1):
        console.print(f"{number:>4}  {escape(' '.join(job.overrides))}", highlight=False)


def show(sweep: Sweep, planned: Sequence[PlannedJob], console: Console) -> None:
    """Print the runs of a sweep with the state of each."""
    done = sum(run.is_finished for run in planned)
    where = f"{len(planned)} runs in {escape(str(sweep.folder))}, {done} finished"
    console.print(f"[bold]{escape(sweep.name)}[/]: {where}", highlight=False)
    for number, run in enumerate(planned, 1):
        console.print(f"{number:>4}  {escape(run.job.name)}  {run.standing}", highlight=False)
