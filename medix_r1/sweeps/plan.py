"""What a sweep would do: every run checked before the first starts, all problems in one list, what is done left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from medix_r1.errors import ConfigError, Problem
from medix_r1.sweeps.expand import Job, Sweep
from medix_r1.training.command.plan import Plan, make_plan

_NAMED = 3  # runs that are named with a problem that only some have


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A run of a sweep and how far it is."""

    job: Job
    plan: Plan

    @property
    def is_finished(self) -> bool:
        return self.plan.is_finished

    @property
    def standing(self) -> str:
        """Finished, resuming, or new."""
        if self.is_finished:
            return "finished"
        return f"resumes after step {self.plan.first_step - 1}" if self.plan.resume_from else "new"


def plan(sweep: Sweep, config_dirs: Sequence[Path] = ()) -> list[PlannedJob]:
    """Compose and check every run; nothing is loaded and nothing is written.

    Raises:
        ConfigError: with the problems of all runs, one that several runs share once.
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
    """Print the overrides that make each run; its folder is among them."""
    for number, job in enumerate(sweep.jobs, 1):
        console.print(f"{number:>4}  {escape(' '.join(job.overrides))}", highlight=False)


def show(sweep: Sweep, planned: Sequence[PlannedJob], console: Console) -> None:
    """Print the runs of a sweep and how far each is."""
    done = sum(run.is_finished for run in planned)
    where = f"{len(planned)} runs in {escape(str(sweep.folder))}, {done} finished"
    console.print(f"[bold]{escape(sweep.name)}[/]: {where}", highlight=False)
    for number, run in enumerate(planned, 1):
        console.print(f"{number:>4}  {escape(run.job.name)}  {run.standing}", highlight=False)
