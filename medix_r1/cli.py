"""The verbs. Each loads what it needs itself, so that `--help` imports neither torch nor verl."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medix_r1.errors import ConfigError, MedixError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Reinforcement learning of medical vision-language models on open-ended answers.",
)
console = Console(stderr=False, soft_wrap=True)
Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides: group=choice or key=value.")]


@app.callback()
def _root() -> None: ...


@app.command()
def train(
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compose, check, print the resolved config, stop.")
    ] = False,
) -> None:
    """Train: `medix-r1 train experiment=nano_cpu`. The same command again resumes."""
    from omegaconf import OmegaConf

    from medix_r1.training import launch
    from medix_r1.training.progress import ProgressView

    planned = launch.plan(overrides or [])
    if dry_run:
        sys.stdout.write(OmegaConf.to_yaml(planned.config))
    elif planned.is_finished:
        console.print(f"{planned.folder.root} has finished step {planned.first_step - 1}; nothing is left to do")
    else:
        raise typer.Exit(launch.run(planned, ProgressView(console)))


def main() -> None:
    """Run the command line; every error of ours is one clear message and exit code 1 (2: wrong usage)."""
    try:
        app()
    except ConfigError as error:
        console.print(f"[red]{len(error.problems)} problem(s):[/]")
        for problem in error.problems:
            console.print(f"  - {escape(problem)}", highlight=False)
        sys.exit(1)
    except MedixError as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
