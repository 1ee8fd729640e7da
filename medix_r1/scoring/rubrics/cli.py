"""`medix-r1 rubric`: the verbs of rubrics. Each verb imports what it needs, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Criteria with points for answers: drafted by a judge, corrected by people, attacked (docs/rubrics.md).",
)
console = Console(soft_wrap=True)
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Hydra overrides of configs/score.yaml: judge=remote ..."),
]
JudgeUrl = Annotated[
    str | None, typer.Option(help="A judge that already runs, ending in /v1.", envvar="MEDIX_JUDGE_URL")
]
ConfigDir = Annotated[list[Path] | None, typer.Option(help="Folder of your own with config groups in it; repeatable.")]


@app.command()
def draft(
    file: Annotated[Path, typer.Argument(help="JSON lines with a question and a reference (or answer) each.")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Where the rows go [default: FILE with .drafted.jsonl].")] = None,
    most: Annotated[int, typer.Option(min=1, max=50, help="Criteria of a row, at most.")] = 8,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
    in_flight: Annotated[int, typer.Option(min=1, max=10_000, help="Rows that are asked about at one time.")] = 16,
) -> None:
    """Let a judge write criteria for rows that have none, and a sheet for a person to correct.

    `medix-r1 rubric draft rows.jsonl judge=remote judge.client.base_url=http://HOST:8000/v1`

    Each criterion is marked as machine-made. Exit code 1 when the judge wrote none for a row.
    """
    from medix_r1.scoring.rubrics.verbs import draft_rubrics

    target = out or file.parent / f"{file.stem}.drafted.jsonl"
    code = draft_rubrics(
        file, target, overrides or [], judge_url, config_dir or [], console, most=most, in_flight=in_flight
    )
    raise typer.Exit(code)


@app.command()
def read(
    sheet: Annotated[Path, typer.Argument(help="The corrected sheet, as CSV.")],
    rows: Annotated[Path, typer.Option(help="The drafted rows that it belongs to.")],
    out: Annotated[Path | None, typer.Option(help="Where the rows go [default: SHEET with .jsonl].")] = None,
) -> None:
    """Read a corrected sheet back into rows: `medix-r1 rubric read rows.drafted.csv --rows rows.drafted.jsonl`.

    What a person kept or changed is no longer marked as machine-made; what nobody looked at still is.
    """
    from medix_r1.scoring.rubrics.verbs import read_sheet

    raise typer.Exit(read_sheet(sheet, rows, out or sheet.with_suffix(".jsonl"), console))


@app.command()
def probe(
    overrides: Overrides = None,
    attacks: Annotated[Path | None, typer.Option(help="A file of attacks of your own, in place of ours.")] = None,
    gullible: Annotated[
        bool, typer.Option("--gullible", help="A judge without a model that believes much, in place of a real one.")
    ] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="File to write everything to.")] = None,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
) -> None:
    """Attack the rubric: may an answer earn more by what is no answer?

    `medix-r1 rubric probe --gullible`

    `medix-r1 rubric probe judge=remote judge.client.base_url=http://HOST:8000/v1`

    Exit code 1 when an attack earns more than the plain reply that it decorates.
    """
    from medix_r1.scoring.rubrics.verbs import probe_rubric

    raise typer.Exit(
        probe_rubric(attacks, overrides or [], judge_url, config_dir or [], json_out, console, gullible=gullible)
    )
