"""`python -m tools.nano`: train the demo's models again, measure them, ship them; build twins and planted data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import results_file
from medix_r1.demo.build import DEFAULT_OUT
from medix_r1.errors import ConfigError, MedixError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
report = typer.Typer(no_args_is_help=True, help="Measure a model: the tables of docs/demo.md.")
app.add_typer(report, name="report")
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 170)
Out = Annotated[Path, typer.Option(help="The demo's folder.")]
Only = Annotated[list[str] | None, typer.Option(help="policy or judge; repeatable.")]


@app.command()
def train(out: Out = DEFAULT_OUT, only: Only = None) -> None:
    """Train policy and judge from scratch, side by side, into OUT/models (minutes)."""
    from tools.nano.train import MODELS
    from tools.nano.train import train as train_models

    train_models(out, only=only or MODELS)


@app.command()
def reports(out: Out = DEFAULT_OUT) -> None:
    """Write two-sentence reports of the demo's pictures into OUT/reports and train OUT/models/report_policy on them."""
    from tools.nano.train import train_reports

    for part, rows in train_reports(out).items():
        console.print(f"{part}: {rows} reports")


@app.command()
def ship(out: Out = DEFAULT_OUT, only: Only = None) -> None:
    """Make the models of OUT/models the ones that ship with the package."""
    from tools.nano.ship import ship as ship_model
    from tools.nano.train import models_of

    for name in models_of(only):
        console.print(f"{name}: {ship_model(out / 'models' / name, name)}")


@app.command()
def twins(out: Out = DEFAULT_OUT) -> None:
    """Build a nano model of each other architecture, with random weights, into OUT/models."""
    from medix_r1.demo.rows import labels
    from tools.nano.twins import TWINS, build_twin

    for architecture in TWINS:
        build_twin(out / "models" / f"nano_{architecture}", architecture, labels.load())
    console.print(f"twins: {', '.join(TWINS)} in {out / 'models'}")


@app.command()
def leading(
    out: Out = DEFAULT_OUT, mixed: Annotated[bool, typer.Option(help="Show each row another row's picture.")] = False
) -> None:
    """Write training rows whose wording gives the answer away into OUT/data (docs/looking.md)."""
    from medix_r1.demo.rows import labels
    from tools.nano.leading import NAMES, write_leading

    rows, wordings = write_leading(out / "data", labels.load(), is_mixed=mixed)
    console.print(f"{out / 'data' / NAMES[mixed]}: {rows} rows in {wordings} wordings")


@app.command()
def calibration(
    out: Out = DEFAULT_OUT,
    runs: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are not run again.")] = Path(
        "outputs/calibration"
    ),
    seed: Annotated[list[int] | None, typer.Option(help="Seeds, repeatable; 1, 2 and 3 by default.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the figures in benchmarks/results and the picture in docs.")] = False,
) -> None:
    """Train a policy that says confidences, paid for them and not, and measure both (docs/calibration.md)."""
    from tools.nano.calibration.demonstration import demonstrate

    demonstrate(out, runs, seed or [1, 2, 3], keep=keep, console=console)


@report.command("policy")
def report_policy(
    policy: Annotated[Path, typer.Argument(help="The policy's folder.")] = DEFAULT_OUT / "models" / "policy",
    data: Annotated[Path, typer.Option(help="Folder with the demo's parquet files.")] = DEFAULT_OUT / "data",
) -> None:
    """Measure a policy on both held-out sets: sampled, greedy, and greedy with shuffled pictures."""
    from tools.nano.policy.report import measure_all

    about = results_file.provenance("python -m tools.nano")
    results_file.keep("warm_start", "shipped", {**about, "rows": measure_all(policy, data)})
    console.print("kept in benchmarks/results/warm_start.json; `make docs` writes it into docs/demo.md")


@report.command("judge")
def report_judge(
    judge: Annotated[Path, typer.Argument(help="The judge's folder.")] = DEFAULT_OUT / "models" / "judge",
    log: Annotated[Path, typer.Option(help="What the server says.")] = DEFAULT_OUT / "judge_report.log",
    constrained: Annotated[bool, typer.Option(help="Let the server generate nothing but YES or NO.")] = True,
) -> None:
    """Measure a judge through a vLLM server, beside string match and MiniLM."""
    from tools.nano.judge.report import measure_served

    about = results_file.provenance("python -m tools.nano")
    results_file.keep("nano_judge", "served", {**about, "sets": measure_served(judge, log, constrained=constrained)})
    console.print("kept in benchmarks/results/nano_judge.json; `make docs` writes it into docs/demo.md")


def main() -> None:
    """Run a verb; an error is one clear message and exit code 1."""
    try:
        app(prog_name="python -m tools.nano")
    except MedixError as error:
        for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
            console.print(f"error: {problem}", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
