"""`medix-r1 train -m`: checks all runs, then gives the unfinished ones to a Hydra launcher.

The config group hydra/launcher chooses it: `basic` runs them one after another, `slurm` as jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from rich.console import Console
from rich.markup import escape

from medix_r1.reports import status
from medix_r1.runs import checkpoints, sweep_record
from medix_r1.runs.folder import read_lines
from medix_r1.schema.command_line import quoted
from medix_r1.sweeps.expand import Sweep, expand
from medix_r1.sweeps.plan import PlannedJob, plan, show, show_jobs
from medix_r1.sweeps.task import TrainTask
from medix_r1.training.command.launch import sigterm_as_interrupt


def train_all(overrides: Sequence[str], config_dirs: Sequence[Path], console: Console, *, dry_run: bool = False) -> int:
    """Run a sweep, or resume it; return 0 when every run has finished.

    Raises:
        ConfigError: the problems of all runs; none was started.
    """
    sweep = expand(overrides, config_dirs)
    if dry_run:
        show_jobs(sweep, console)
    planned = plan(sweep, config_dirs)
    show(sweep, planned, console)
    left = [run for run in planned if not run.is_finished]
    if dry_run or not left:
        return 0
    sweep_record.add(sweep.folder, {job.name: job.overrides for job in sweep.jobs})
    try:
        with sigterm_as_interrupt():
            _launch(sweep, left, TrainTask(tuple(str(folder.absolute()) for folder in config_dirs)), console)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        return 1
    return _summary(planned, console)


def _launch(sweep: Sweep, left: Sequence[PlannedJob], task: TrainTask, console: Console) -> None:
    """Give the runs to the launcher, in batches of the sweeper's size."""
    setup_globals()
    context = HydraContext(config_loader=sweep.loader, callbacks=Callbacks(sweep.config))
    launcher: Launcher = Plugins.instance().instantiate_launcher(context, task, sweep.config)
    jobs = [[*run.job.overrides, f"hydra.sweep.subdir={quoted(run.job.name)}"] for run in left]
    first = 0
    for batch in BasicSweeper.split_overrides_to_chunks(jobs, sweep.batch_size):
        try:
            launcher.launch(batch, initial_job_idx=first)
        except Exception as error:  # noqa: BLE001  launchers raise their own types for a lost job; its folder shows it
            console.print(f"[red]{type(error).__name__}[/] {escape(str(error))}", highlight=False)
        first += len(batch)


def _summary(planned: Sequence[PlannedJob], console: Console) -> int:
    """Print the state of unfinished runs, read from their folders; return 1 unless all runs have finished."""
    failed = []
    for run in planned:
        folder = run.plan.folder
        newest = checkpoints.latest(folder.checkpoints)
        if not replace(run.plan, resume_from=newest, differences=()).is_finished:
            events = list(read_lines(folder.events))
            failed.append((run.job.name, status.state(folder, events) if events else "did not start"))
    console.print(f"{len(planned) - len(failed)} of {len(planned)} runs finished", highlight=False)
    for name, why in failed:
        console.print(f"  [red]{escape(name)}[/]  {escape(why)}", highlight=False)
    if failed:
        console.print("the same command tries these again, from their checkpoints")
    return 1 if failed else 0
