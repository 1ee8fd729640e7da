"""`medix-r1 data prepare --dry-run`: validates a sample of rows and prints the plan of a full run; writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.data.check import check_row
from medix_r1.data.ending import show_notes
from medix_r1.data.lengths.tokens import PromptCounter, backbone_folder
from medix_r1.data.row import RawRow, RowRejected
from medix_r1.data.settings import Settings, read_settings
from medix_r1.data.sources.base import Unit
from medix_r1.errors import DataError

SAMPLE = 200  # rows
_UNITS = 8  # evenly spaced units that they are read from


def dry_run(overrides: Sequence[str], console: Console) -> None:
    """Print the plan, and the results of validating a sample.

    Raises:
        ConfigError: wrong settings.
        DataError: the sample has no rows, or more of them would be rejected than data.max_rejected allows.
    """
    settings = read_settings(overrides)
    counter = PromptCounter(backbone_folder(settings.backbone), settings.min_pixels, settings.max_pixels)
    units = settings.source.units(settings.unit_rows)
    show_notes(settings.source, console)
    rejected: Counter[str] = Counter()
    lengths: list[int] = []
    shrunk = bytes_out = 0
    for raw in _sample(settings, units):
        try:
            measured = check_row(raw, settings.rules, counter)
        except RowRejected as problem:
            rejected[problem.reason.value] += 1
            if rejected[problem.reason.value] == 1:
                example = escape(f"{raw.where}: {problem.detail}")
                console.print(f"[yellow]{problem.reason.value}[/] {example}", highlight=False)
            continue
        lengths.append(measured.length.total)
        shrunk += any(image.shrunk for image in measured.row.images)
        bytes_out += sum(len(image.content) for image in measured.row.images)
    console.print(_table(settings, units, lengths, rejected, shrunk, bytes_out))
    console.print(f"nothing was written; without --dry-run the rows go to {settings.out}", highlight=False)
    _check_taken(settings, len(lengths), rejected.total())


def _check_taken(settings: Settings, taken: int, rejected: int) -> None:
    """End as the run would that takes and rejects rows in the sample's shares."""
    if not taken + rejected:
        raise DataError(f"{settings.source.name} has no rows to read", code="no-rows")
    if not taken:
        raise DataError(f"all {rejected} rows of the sample would be rejected", code="no-train-rows")
    if rejected > settings.max_rejected * (taken + rejected):
        raise DataError(
            f"{rejected} of {taken + rejected} rows of the sample would be rejected, more than data.max_rejected="
            f"{settings.max_rejected:g} allows",
            code="too-many-rejected",
        )


def _sample(settings: Settings, units: Sequence[Unit]) -> Iterator[RawRow]:
    places = sorted({round(i * (len(units) - 1) / (_UNITS - 1)) for i in range(_UNITS)}) if units else []
    for place in places:
        yield from islice(settings.source.rows(units[place]), SAMPLE // len(places))


def _table(
    settings: Settings,
    units: Sequence[Unit],
    lengths: list[int],
    rejected: Counter[str],
    shrunk: int,
    bytes_out: int,
) -> Table:
    revision = settings.source.revision()
    seen = len(lengths) + rejected.total()
    table = Table("plan", "", title=f"{revision.kind} {revision.name}", show_header=False)
    table.add_row("revision", revision.revision)
    table.add_row("files", str(len({unit.file for unit in units})))
    table.add_row("units of work", f"{len(units)}, by {settings.workers} process(es)")
    table.add_row("out", str(Path(settings.out)))
    table.add_row("rows in the sample", str(seen))
    table.add_row("would be taken", f"{len(lengths)} ({shrunk} of them shrunk)")
    table.add_row("would be rejected", ", ".join(f"{name}: {count}" for name, count in rejected.items()) or "0")
    if lengths:
        middle, most = np.percentile(lengths, [50, 100])
        table.add_row(
            "prompt tokens", f"median {middle:.0f}, longest {most:.0f}, limit {settings.rules.max_prompt_tokens}"
        )
        table.add_row("images", f"{bytes_out / len(lengths) / 1e3:.0f} kB a row")
    return table
