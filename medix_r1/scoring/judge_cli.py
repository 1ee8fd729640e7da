"""`medix-r1 judge`: the verbs of the judge. Each verb imports what it needs, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="The judge of a training config: `medix-r1 judge bench`, `judge band`.")
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


@app.command()
def band(
    file: Annotated[
        Path,
        typer.Argument(help="JSON lines: question, reference, completion or prediction, label (not for a cascade)."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides of configs/score.yaml: judge=cascade, judge=nano, ...")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Pairs to measure the band on. By default half of FILE's questions are kept back."),
    ] = None,
    share: Annotated[float, typer.Option(min=0.0, max=0.99, help="Share of strong calls, at most.")] = 0.25,
    agreement: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="In place of --share: the smallest share that reaches this agreement."),
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="File to write everything to.")] = None,
    plot: Annotated[Path | None, typer.Option(help="File to draw the curve to, such as curve.png.")] = None,
    judge_url: Annotated[
        str | None, typer.Option(help="A judge that already runs, ending in /v1.", envvar="MEDIX_JUDGE_URL")
    ] = None,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
    in_flight: Annotated[int, typer.Option(min=1, max=100_000, help="Rows that are being asked at any time.")] = 256,
) -> None:
    """Choose the band of judge=cascade on pairs of your own.

    With judge=cascade both judges rate the pairs. With any other judge, labels stand for the strong one.

    `medix-r1 judge band pairs.jsonl judge=cascade judge.client.strong.base_url=http://HOST:8000/v1
    judge.client.strong.model=NAME`

    `medix-r1 judge band labelled.jsonl judge=nano --agreement 0.95`

    Exit code 1 when rows could not be rated.
    """
    from medix_r1.scoring.judging.band_verb import choose_band

    code = choose_band(
        file,
        overrides or [],
        held_out,
        judge_url,
        config_dir or [],
        json_out,
        plot,
        console,
        share=share,
        agreement=agreement,
        in_flight=in_flight,
    )
    raise typer.Exit(code)
