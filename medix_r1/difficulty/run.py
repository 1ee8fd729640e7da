"""`medix-r1 data difficulty`: from words to a table, a figure and, on request, a curated set."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from medix_r1.data.looking.training_rows import chosen, read, training_files
from medix_r1.difficulty import result
from medix_r1.difficulty.sampling import Journal, measure
from medix_r1.difficulty.settings import Settings, server_file, split
from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.scoring.composed import PlannedReward
from medix_r1.scoring.running import run_with_progress
from medix_r1.serving import server
from medix_r1.serving.foreground import new_log
from medix_r1.serving.kept import served

# What a value depends on; the others only change how it is got.
_DEPENDS = ("model", "k", "temperature", "top_p", "max_tokens", "signal", "seed")


def difficulty(
    data: Path,
    words: Sequence[str],
    out: Path,
    console: Console,
    *,
    config_dirs: Sequence[Path] = (),
    choice: result.Choice | None = None,
    write: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Measure, show, and write a curated set.

    Args:
        data: a prepared folder, or parquet files in verl's columns.
        words: own settings and overrides of configs/score.yaml.
        out: folder of the journal and the figures; the same command goes on there.
        console: for people.
        config_dirs: the user's own folders with config groups.
        choice: which rows `write` gets; None: all.
        write: new folder for the rows with their pass rates.
        dry_run: check everything, start nothing.

    Raises:
        ConfigError: all wrong settings, before anything is started.
        ServerError: a server did not come up, or ended in the middle.
    """
    settings, others = split(words)
    planned = PlannedReward(others, config_dirs=config_dirs)
    planned.refuse_soft_overlong()
    signals = {name for name, node in planned.config.reward.signals.items() if node is not None}
    if settings.signal not in signals | {"overall"}:
        says = f"no signal '{settings.signal}'; known: overall, {', '.join(sorted(signals))}"
        raise ConfigError.of("signal", "no-such-signal", says)
    if problems := _choice_problems(choice or result.Choice(), write):
        raise ConfigError(problems)
    files = training_files(data)
    places = chosen(files, settings.rows, settings.seed)
    total = len(places) if places is not None else sum(1 for _ in _all_places(files))
    console.print(f"{total} rows of {len(files)} file(s), {settings.k} replies each: {total * settings.k} replies")
    if dry_run:
        return
    depends = {key: getattr(settings, key) for key in _DEPENDS} | {"seeds": "one a row"}
    journal = Journal(out, depends | {f"reward.{key}": value for key, value in planned.settings().items()})
    finished = len(journal.done) >= total  # then no server is needed to choose other rows
    with contextlib.ExitStack() as held:
        held.enter_context(contextlib.closing(journal))
        if not finished:
            address, ready = held.enter_context(_policy(settings, console)), held.enter_context(planned.ready(console))
            finished = run_with_progress(
                lambda advance: measure(read(files, places), settings, address, ready, journal, advance),
                [ready],
                console,
                "rows",
                total,
                done=len(journal.done),
            )
    if not finished:
        console.print(f"stopped after {len(journal.done)} of {total} rows; the same command goes on")
        return
    rows = list(journal.done.values())
    found = result.by_part(rows)
    if result.ALL not in found:
        reasons = sorted({reason for row in rows for reason in row.masked})[:3]
        raise DataError(f"no reply has a value: {'; '.join(reasons)}", code="nothing-measured")
    result.show(found, rows, settings, console)
    result.write_summary(found, settings, out)
    result.write_plot(out / "difficulty.png", rows, settings)
    console.print(f"written: {out}/measured.jsonl, difficulty.json, difficulty.png", highlight=False, markup=False)
    if write is not None:
        manifest = result.curate(files, rows, choice or result.Choice(), write)
        names = ",".join(str(write.absolute() / file["file"]) for file in manifest["files"])
        console.print(
            f"{manifest['kept']} of {len(rows)} rows in {write}; train on them with", highlight=False, markup=False
        )
        console.print(f"  'data.train_files=[{names}]'", highlight=False, markup=False)


def _choice_problems(choice: result.Choice, write: Path | None) -> list[Problem]:
    if write is None and choice != result.Choice():
        return [Problem("--write", "missing", "a choice of rows needs a folder to write them to")]
    taken = write is not None and write.exists() and (not write.is_dir() or any(write.iterdir()))
    says = f"{write} holds files already; give a new folder"
    return choice.problems() + ([Problem("--write", "not-empty", says)] if taken else [])


def _all_places(files: Sequence[Path]) -> Iterator[tuple[int, int]]:
    import pyarrow.parquet as pq

    for number, file in enumerate(files):
        yield from ((number, row) for row in range(pq.ParquetFile(file).metadata.num_rows))


@contextlib.contextmanager
def _policy(settings: Settings, console: Console) -> Iterator[str]:
    """The address of the policy's server, which is started if the settings name none."""
    if settings.base_url is not None:
        yield settings.base_url
        return
    folder = Path(settings.model).expanduser()
    node = server_file(settings.server)
    log, start = new_log("medix-policy-"), time.monotonic()
    wanted = server.ServerSettings(
        model=str(folder) if folder.is_dir() else settings.model,
        served_name=settings.model,
        port=server.free_port(),
        start_timeout=node["start_timeout"],
        arguments=node["arguments"],
        environment=node["environment"] or {},
    )
    console.print(f"starting {settings.model} at {wanted.address}; log: {log}", highlight=False, markup=False)
    with served(wanted, log):
        console.print(f"policy ready after {time.monotonic() - start:.0f} s", highlight=False, markup=False)
        yield f"{wanted.address}/v1"
