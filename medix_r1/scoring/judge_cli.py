"""`medix-r1 judge`: the verbs of the judge. Each verb imports what it needs, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="The judge of a training config: `medix-r1 judge bench`.")
console = Console(soft_wrap=True)


@app.callback()
def _root() -> None: ...


@app.command()
def bench(
    overrides: Annotated[list[str] | None, typer.Argument(help="Hydra overrides, as for `medix-r1 train`.")] = None,
    questions: Annotated[int, typer.Option(min=1, max=100_000, help="Questions to ask, all different.")] = 512,
    without_call: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of a step's answers that need no call: exact, empty, or asked before. An assumption; the "
            "step metrics of a run tell the real one.",
        ),
    ] = 0.3,
    rollout_seconds: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds that the rollouts of one step take, to compare with.")
    ] = None,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
) -> None:
    """Can this judge keep up with this recipe? Exit code 1 when not.

    `medix-r1 judge bench experiment=medix_r1_8b_grpo judge=remote judge.client.base_url=http://HOST:8000/v1
    --rollout-seconds 240`
    """
    from medix_r1.scoring.judge_bench import measure, show

    result = measure(
        overrides or [], console, questions=questions, without_call=without_call, config_dirs=config_dir or []
    )
    raise typer.Exit(0 if show(result, rollout_seconds, console) else 1)
