"""The verbs for existing runs: `samples`, `report`, `board`, `compare`, `status`, `ask`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Run = Annotated[Path, typer.Argument(help="A run's folder, such as outputs/nano_cpu.")]


def add_verbs(app: typer.Typer, console: Console) -> None:
    """Add the verbs to the command line."""

    @app.command()
    def samples(
        run: Run,
        split: Annotated[str, typer.Option(help="train, validation, looking_shuffled or looking_blank.")] = "train",
        step: Annotated[int | None, typer.Option(help="One step only.")] = None,
        part: Annotated[str | None, typer.Option(help="A part of the reward, for --below and --above.")] = None,
        below: Annotated[float | None, typer.Option(help="Only where --part is below this.")] = None,
        above: Annotated[float | None, typer.Option(help="Only where --part is above this.")] = None,
        modality: Annotated[str | None, typer.Option(help="Only this modality tag.")] = None,
        source: Annotated[str | None, typer.Option(help="Only this data source.")] = None,
        sort: Annotated[str | None, typer.Option(help="A part, or a difference: embed-llm. Largest first.")] = None,
        smallest: Annotated[bool, typer.Option("--smallest", help="Smallest first.")] = False,
        limit: Annotated[int, typer.Option(help="Samples shown.")] = 10,
    ) -> None:
        """Show samples with their reasons: `medix-r1 samples outputs/nano_cpu --sort embed-llm --limit 5`."""
        from medix_r1.reports import sample_images
        from medix_r1.reports.samples import Query, find
        from medix_r1.reports.show_samples import show
        from medix_r1.runs.samples_folder import ASKED_WITH

        query = Query(split, step, part, below, above, modality, source, sort, smallest, limit)
        found = find(run, query)
        images = sample_images.of_rows(run, [line["row_id"] for line in found])
        show(found, images, console, ASKED_WITH.get(split, ""))

    @app.command()
    def report(
        run: Run,
        out: Annotated[Path | None, typer.Option(help="The file; RUN/report.html unless told otherwise.")] = None,
        watch: Annotated[
            int | None, typer.Option(help="Write it again every so many seconds while the run goes on.")
        ] = None,
    ) -> None:
        """Write everything about a run into one HTML file: `medix-r1 report outputs/nano_cpu --watch 60`."""
        from medix_r1.reports import run_report

        written = run_report.watch(run, out, watch) if watch else run_report.write_report(run, out)
        console.print(f"written: {written}", highlight=False)

    @app.command()
    def board(
        folder: Annotated[Path, typer.Argument(help="Folder with runs and evaluations below it.")] = Path("outputs"),
        out: Annotated[Path | None, typer.Option(help="The file; FOLDER/board.html unless told otherwise.")] = None,
        watch: Annotated[
            int | None, typer.Option(min=1, help="Write it again every so many seconds, until Ctrl-C.")
        ] = None,
    ) -> None:
        """Write one page of all runs and evaluations below a folder: `medix-r1 board outputs --watch 60`."""
        from medix_r1.reports import board as boards

        console.print(f"written: {boards.write_board(folder, out, refresh=watch)}", highlight=False)
        if watch:
            boards.watch(folder, out, watch)

    @app.command()
    def compare(
        runs: Annotated[list[str], typer.Argument(help="Folders of runs or of a sweep, or patterns of such.")],
        out: Annotated[Path | None, typer.Option(help="Folder for compare.md, compare.csv and compare.png.")] = None,
    ) -> None:
        """Compare runs, seeds together: `medix-r1 compare outputs/sweeps/nano_ablation_reward --out outputs/table`."""
        from medix_r1.reports.comparison import compare_files
        from medix_r1.reports.comparison.compare_gaps import gaps
        from medix_r1.reports.run_groups import read_run_groups

        groups = read_run_groups(runs)
        missing = gaps(runs, groups)
        compare_files.show(groups, console, missing)
        for path in compare_files.write(groups, out, missing) if out else ():
            console.print(f"written: {path}", highlight=False)

    @app.command()
    def status(
        run: Run,
        stacks: Annotated[
            bool, typer.Option("--stacks", help="Also let its processes on this node write where they are.")
        ] = False,
    ) -> None:
        """Show how a run stands, from any shell: `medix-r1 status outputs/nano_cpu`."""
        from medix_r1.reports.status import show_stacks, show_status

        show_status(run, console)
        if stacks:
            show_stacks(run, console)

    @app.command()
    def ask(
        run: Run,
        request: Annotated[str, typer.Argument(help="checkpoint, validate, or stop (after this step).")],
    ) -> None:
        """Ask something of a running job: `medix-r1 ask outputs/nano_cpu checkpoint`."""
        from medix_r1.runs import requests

        requests.ask(run, request)
        console.print(f"asked: {request}; it is carried out at the end of the current step", highlight=False)
