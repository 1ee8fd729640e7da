"""`medix-r1 data`: prepare a set, look for leaks, count it, look at it. Each verb loads what it needs itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Training data: `medix-r1 data prepare data=jsonl data.path=rows.jsonl`.")
console = Console(soft_wrap=True)
Folder = Annotated[Path, typer.Argument(help="Folder that `data prepare` wrote.")]


@app.command()
def prepare(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="data=jsonl|csv|parquet|folder or a public set, and key=value of configs/prepare/."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that is rejected.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Prepare anew what the folder holds already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check a sample, print the plan, write nothing.")] = False,
) -> None:
    """Check, measure and split a data set: `medix-r1 data prepare data=medix_rl`. The same command again goes on."""
    from medix_r1.data.dry_run import dry_run as show_plan
    from medix_r1.data.prepare import prepare as prepare_set

    if dry_run:
        show_plan(overrides or [], console)
    else:
        prepare_set(overrides or [], console, strict=strict, force=force)


@app.command()
def leaks(
    train: Annotated[Path, typer.Argument(help="Prepared folder, or a file of rows.")],
    test: Annotated[Path, typer.Argument(help="Folder (or file) of test questions: .jsonl, .csv, .parquet.")],
    out: Annotated[Path, typer.Option(help="JSONL file for the matches.")] = Path("leaks.jsonl"),
    remove: Annotated[
        Path | None, typer.Option(help="Write the set without the leaked rows to this new folder.")
    ] = None,
    near: Annotated[int, typer.Option(min=0, max=7, help="Bits in which near-equal images may differ.")] = 4,
) -> None:
    """Find training rows that are test questions: `medix-r1 data leaks data/medix_rl eval_rows --remove data/clean`."""
    from medix_r1.data.looking.leak_report import check

    check(train, test, out, remove, near, console)


@app.command()
def stats(
    folder: Folder,
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables to this file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Also draw them into this file.")] = None,
) -> None:
    """Count a prepared set: `medix-r1 data stats data/medix_rl --markdown stats.md --png stats.png`."""
    from medix_r1.data.looking import stats as counted

    result = counted.compute(folder)
    if markdown:
        counted.write_markdown(result, markdown)
    if png:
        counted.write_png(png, result)
    counted.show(result, console)


@app.command()
def view(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("view.html"),
    rows: Annotated[int, typer.Option(min=1, max=2000, help="Rows on the page.")] = 50,
    seed: Annotated[int, typer.Option(help="Another seed shows other rows.")] = 0,
    source: Annotated[str | None, typer.Option(help="Only rows of this source.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only rows of this modality.")] = None,
    reason: Annotated[str | None, typer.Option(help="Rows rejected for this reason instead, or all of them.")] = None,
) -> None:
    """Show rows with their images in one HTML file: `medix-r1 data view data/medix_rl --out view.html`."""
    from medix_r1.data.looking.view import write_view

    count = write_view(folder, out, rows=rows, seed=seed, source=source, tag=tag, reason=reason)
    console.print(f"{count} rows in {out}; open it in a browser", highlight=False)
