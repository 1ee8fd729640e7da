"""`medix-r1 demo`: the verbs of the demo. Each verb imports what it needs, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Small real parts, trained and measured here: `medix-r1 demo run`.")
console = Console(soft_wrap=True)
Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides of experiment=nano_cpu.")]


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder to build in.")] = Path("outputs/demo"),
    only: Annotated[list[str] | None, typer.Option(help="data, policy or judge; repeatable.")] = None,
) -> None:
    """Build pictures, questions, policy and judge: `medix-r1 demo build --out outputs/demo`.

    The models come from shipped weights. To train them again takes a clone: `python -m tools.nano train`.
    """
    from medix_r1.demo.build import PARTS
    from medix_r1.demo.build import build as build_demo

    build_demo(out, only=only or PARTS)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model folder: the demo's policy, or a merged checkpoint.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    overrides: Overrides = None,
    judge_url: Annotated[str | None, typer.Option(help="A judge that already runs, ending in /v1.")] = None,
) -> None:
    """Measure a policy on both held-out sets: `medix-r1 demo evaluate outputs/demo/models/policy --out before.json`."""
    from medix_r1.demo.run import evaluate as evaluate_model

    evaluate_model(model, out, judge_url, overrides or [], console)


@app.command()
def run(
    overrides: Overrides = None,
    run_dir: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("outputs/nano_cpu"),
) -> None:
    """Build, measure, train, measure again, report: `medix-r1 demo run`. The same command again resumes."""
    from medix_r1.demo.run import run as run_demo

    raise typer.Exit(run_demo(run_dir, overrides or [], console))


@app.command()
def suite(
    models: Annotated[list[Path], typer.Argument(help="A nano model's folder, or two: before and after training.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override of configs/eval; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of rows, results and comparison.")] = Path("outputs/demo_eval"),
    demo: Annotated[Path, typer.Option(help="Where `demo build` put data and models.")] = Path("outputs/demo"),
) -> None:
    """The evaluation suite on nano models: `medix-r1 demo suite outputs/demo/models/policy outputs/nano_cpu/model`."""
    from medix_r1.demo.suite import evaluate as evaluate_suite

    raise typer.Exit(evaluate_suite(models, demo, out, overrides or [], Console(width=160)))
