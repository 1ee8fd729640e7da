"""The verbs of `medix-r1 eval` that only read results: table, compare, audit, judges, looking, submit, blind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer()
Run = Annotated[Path, typer.Argument(help="Folder of a result, as `medix-r1 eval` leaves it.")]
Examples = Annotated[int, typer.Option(min=0, help="Changed samples to show in each direction.")]


@app.command()
def table(
    run: Run, out: Annotated[Path | None, typer.Option(help="Folder for the files; by default RUN.")] = None
) -> None:
    """Numbers of a result, to the terminal and table.json, .csv, .md, scores.png: `medix-r1 eval table RUN`."""
    from medix_r1.evaluation.results import groups, table

    console = _console()
    with console.status("drawing clusters"):
        found, by_group = table.read_numbers(run), groups.read_breakdowns(run)
    table.sheet(found).show(console)
    written = table.write(found, out or run)
    if by_group:
        groups.sheet(by_group, found.info.model).show(console)
        written += groups.write(by_group, found.info.model, out or run)
    _wrote(console, written)


@app.command()
def compare(
    first: Run,
    second: Run,
    out: Annotated[Path | None, typer.Option(help="Folder for compare.json, .csv, .md, .png.")] = None,
    examples: Examples = 3,
    judges: Annotated[bool, typer.Option("--judges", help="Same replies, two judges: a table of shifts.")] = False,
) -> None:
    """Two results on the same samples, second minus first: `medix-r1 eval compare BEFORE AFTER --out DIR`."""
    from medix_r1.evaluation.results import comparison_text
    from medix_r1.evaluation.results.compare import read_comparison

    console = _console()
    with console.status("drawing clusters"):
        found = read_comparison(first, second)
    comparison_text.show(found, console, examples=examples, judges=judges)
    if out:
        _wrote(console, comparison_text.write(found, out, examples=examples, judges=judges))


@app.command()
def audit(
    run: Run,
    labels: Annotated[Path | None, typer.Option(help="CSV or JSON lines: id, label, and answer if known.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for audit.json, .csv, .md.")] = None,
) -> None:
    """Agreement of the judges with each other and with labels: `medix-r1 eval audit RUN --labels labels.csv`."""
    from medix_r1.evaluation.results import audit as judges
    from medix_r1.evaluation.results.records import read_run

    _, records = read_run(run)
    found = judges.audit(records, judges.read_labels(labels, records) if labels else None)
    _present(judges.sheet(found), judges.flat_rows(found), out, "audit")


@app.command()
def judges(
    runs: Annotated[list[Path], typer.Argument(help="A result, and others of the same replies (eval rejudge).")],
    out: Annotated[Path | None, typer.Option(help="Folder for judges.json, .csv, .md, .png.")] = None,
) -> None:
    """The same replies under each judge: headline, shift, kappa: `medix-r1 eval judges RUN REJUDGED --out DIR`."""
    from medix_r1.evaluation.results import judges as judge_results

    console = _console()
    with console.status("drawing clusters"):
        found = judge_results.read_judges(runs)
    judge_results.sheet(found).show(console)
    judge_results.agreement_sheet(found).show(console)
    if out:
        _wrote(console, judge_results.write(found, out))


@app.command()
def looking(
    runs: Annotated[list[Path], typer.Argument(help="Results of one model, one for each condition of images=.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; by default the result with real pictures.")
    ] = None,
) -> None:
    """Does the model look? Results with and without the real pictures: `medix-r1 eval looking REAL SHUFFLED NONE`."""
    from medix_r1.evaluation.results import looking as looks
    from medix_r1.evaluation.results.records import read_run

    console = _console()
    with console.status("drawing clusters"):
        real, others = looks.conditions(runs)
        found, model = looks.read_looks(real, others), read_run(real)[0].model
    looks.sheet(found, model).show(console)
    _wrote(console, looks.write(found, model, out or real))


@app.command()
def calibration(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; by default the result itself.")] = None,
) -> None:
    """Does it know when it is wrong? Stated confidences against scores: `medix-r1 eval calibration RUN`."""
    from medix_r1.evaluation.results import calibration as calibrated
    from medix_r1.evaluation.results.records import read_run

    console = _console()
    info, records = read_run(run)
    with console.status("drawing clusters"):
        found = calibrated.calibrations(records)
    calibrated.sheet(found, info.model).show(console)
    _wrote(console, calibrated.write(found, records, info.model, out or run))


@app.command()
def submit(
    run: Run,
    out: Annotated[Path, typer.Option(help="Folder for the zip and its manifest.")] = Path("outputs/submission"),
    mmmu: Annotated[Path | None, typer.Option(help="MedEvalKit's MMMU-Medical-val folder, to add.")] = None,
) -> None:
    """Write the leaderboard's zip and a manifest: `medix-r1 eval submit RUN --out outputs/submission`."""
    from medix_r1.evaluation.sharing import submission

    console, bundle = _console(), submission.submit(run, out, mmmu=mmmu)
    if bundle.missing:
        console.print(f"not evaluated, so not in it: {', '.join(bundle.missing)}", highlight=False)
    if bundle.restricted:
        console.print(f"texts of {bundle.restricted} samples left out: data-use agreement", highlight=False)
    if bundle.unscored:
        console.print(f"{bundle.unscored} samples have no score: not in the _eval file, nor in a mean", highlight=False)
    console.print(f"{bundle.samples} replies in {bundle.archive}; hashes in {bundle.manifest}", highlight=False)


@app.command()
def blind(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of two results.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sheet (key beside it), or of what --read found.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pairs at most.")] = 100,
    seed: Annotated[int | None, typer.Option(help="Of the draw; by default one nobody knows.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder with TASK_ROW.png (jpg, webp) to show.")] = None,
    pictures: Annotated[bool, typer.Option(help="Show the tasks' own pictures, read from their data.")] = True,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with ORG/NAME copies of the data sets.")] = None,
    config_dir: Annotated[list[Path] | None, typer.Option(help="Folder of your own with task/; repeatable.")] = None,
    read: Annotated[list[Path] | None, typer.Option(help="A filled sheet.csv to read back; repeatable.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key; by default the one beside the sheet's folder.")] = None,
) -> None:
    """A blinded sheet for experts, and back: `medix-r1 eval blind A B`, then `--read outputs/blind/sheet.csv`."""
    if bool(runs) == bool(read) or (runs and len(runs) != 2):
        raise typer.BadParameter("give two results to compare, or --read with a filled sheet")
    if read:
        _read_blind(read, key, out)
        return
    from medix_r1.evaluation.sharing.blind import export
    from medix_r1.evaluation.sharing.pictures import TaskPictures

    first, second = runs or []
    shown = TaskPictures(first, data_dir, config_dir or []) if pictures else None
    made = export(first, second, out or Path("outputs/blind"), count=count, seed=seed, images=images, pictures=shown)
    console = _console()
    for task, why in shown.missing.items() if shown else ():
        console.print(f"{task}: no pictures on the page: {why}", highlight=False, markup=False, soft_wrap=True)
    left = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in _nonzero(made.left_out))
    console.print(f"not in the sheet: {left or 'nothing'}", highlight=False)
    console.print(
        f"{made.pairs} pairs in {made.sheet} and {made.page.name}; keep {made.key} to yourself", highlight=False
    )


def _read_blind(sheets: Sequence[Path], key: Path | None, out: Path | None) -> None:
    from medix_r1.evaluation.sharing import blind_result

    folder = sheets[0].resolve().parent
    found = blind_result.read(sheets, key or folder.with_name(f"{folder.name}-key.json"))
    _present(blind_result.sheet(found), blind_result.flat_rows(found), out, "preference")


def _present(sheet: Any, rows: Sequence[Mapping[str, Any]], out: Path | None, name: str) -> None:
    """Show a table; with `out` also write it as Markdown, CSV and JSON."""
    from medix_r1.evaluation.results.sheet import csv_text
    from medix_r1.host.files import atomic_write

    console = _console()
    sheet.show(console)
    if out:
        texts: dict[str, Callable[[], str]] = {
            "json": lambda: json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n",
            "csv": lambda: csv_text(rows),
            "md": sheet.markdown,
        }
        for end, text in texts.items():
            atomic_write(out / f"{name}.{end}", text())
        _wrote(console, [out / f"{name}.{end}" for end in texts])


def _nonzero(left_out: Any) -> list[tuple[str, int]]:
    from dataclasses import asdict

    return [(name, count) for name, count in asdict(left_out).items() if count]


def _wrote(console: Console, paths: Sequence[Path]) -> None:
    console.print(
        f"written: {paths[0].parent}: {', '.join(path.name for path in paths)}", highlight=False, markup=False
    )


def _console() -> Console:
    """A console as wide as the terminal, or 160 columns in a file or pipe, where tables would be cut at 80."""
    return Console(width=None if sys.stdout.isatty() else 160)
