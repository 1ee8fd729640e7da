"""`medix-r1 eval`: the verbs of evaluation; without a verb it runs one. Each loads what it needs itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from medix_r1.evaluation.cli_numbers import app as numbers

console = Console(width=None if sys.stdout.isatty() else 160)  # in a file or pipe, tables get room
Overrides = Annotated[list[str] | None, typer.Argument(help="Overrides of configs/eval/eval.yaml: key=value.")]
ConfigDirs = Annotated[list[Path] | None, typer.Option(help="Folder of your own with task/ or judge/; repeatable.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read the data, say what is to be done, stop.")]
Limit = Annotated[int | None, typer.Option(help="First N rows of each task.", min=1)]


class RunByDefault(TyperGroup):
    """`medix-r1 eval model=...` is `medix-r1 eval run model=...`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    help="Evaluate on medical benchmarks: `medix-r1 eval model=outputs/model task=all`.",
)


@app.command()
def run(
    overrides: Overrides = None, config_dir: ConfigDirs = None, dry_run: DryRun = False, limit: Limit = None
) -> None:
    """Generate, judge, score: `medix-r1 eval model=FOLDER task=[slake_vqa,llm]`. Again, it does what is missing."""
    from medix_r1.evaluation import show
    from medix_r1.evaluation.run import plan
    from medix_r1.evaluation.run import run as run_evaluation
    from medix_r1.evaluation.settings import compose_eval

    words = [*(overrides or []), *([f"limit={limit}"] if limit else [])]
    settings = compose_eval(words, config_dir or [])
    evaluations = {condition: plan(replace(settings, images=[condition])) for condition in settings.images}
    failed = 0
    for evaluation in evaluations.values():
        if dry_run:
            show.planned(evaluation, console)
            continue
        try:
            outcome = run_evaluation(evaluation, console)
        except KeyboardInterrupt:
            console.print(f"stopped; the same command goes on from {escape(str(evaluation.folder))}", highlight=False)
            raise typer.Exit(130) from None
        failed |= show.outcome(outcome, console)
    if not dry_run and len(evaluations) > 1:
        show.looking({condition: evaluation.folder for condition, evaluation in evaluations.items()}, console)
    raise typer.Exit(failed)


@app.command()
def judge(
    overrides: Overrides = None, config_dir: ConfigDirs = None, dry_run: DryRun = False, limit: Limit = None
) -> None:
    """Test a judge on people's preferences, Med-RewardBench: `medix-r1 eval judge model=JUDGE base_url=URL`."""
    run(["task=med_rewardbench", "prompt=plain", *(overrides or [])], config_dir, dry_run, limit)


@app.command()
def rejudge(
    result: Annotated[Path, typer.Argument(help="Folder of a result, OUT_DIR/MODEL-KEY.")],
    overrides: Overrides = None,
    config_dir: ConfigDirs = None,
) -> None:
    """Judge saved replies by another judge: `medix-r1 eval rejudge outputs/eval/RUN judge=openrouter`."""
    from medix_r1.evaluation import show
    from medix_r1.evaluation.rejudge import rejudge as judge_again

    raise typer.Exit(show.rejudged(judge_again(result, overrides or [], config_dir or [], console), console))


@app.command()
def tasks(
    name: Annotated[str | None, typer.Argument(help="A task, to see all of it.")] = None,
    config_dir: ConfigDirs = None,
    check: Annotated[Path | None, typer.Option(help="Check the file of a task of your own, and its first row.")] = None,
) -> None:
    """List the tasks, or check a file of yours: `medix-r1 eval tasks --check configs/task/mine.yaml`."""
    from medix_r1.evaluation import show

    if check is not None:
        show.checked(check, console)
        return
    if name is not None:
        show.one_task(name, console, config_dir or [])
        return
    show.tasks(console, config_dir or [])


app.add_typer(numbers)  # table, compare, audit, submit, blind
