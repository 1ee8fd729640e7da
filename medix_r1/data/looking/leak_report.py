"""Runs the leak check and prints what it found."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.data.looking import leaks
from medix_r1.data.prepared import read_manifest

KINDS = ("question", "image", "near_image")
_SHOWN = 5  # unreadable rows that are named


def check(train: Path, test: Path, out: Path, remove: Path | None, near: int, console: Console) -> list[leaks.Match]:
    """Compare two sets and write the matches; with `remove`, also write the training set without them to that folder.

    Raises:
        ConfigError: a set cannot be read, or the new folder exists already.
    """
    if remove is not None:
        read_manifest(train)  # rows can be removed from a prepared set only
    train_entries, test_entries = leaks.read_entries(train), leaks.read_entries(test)
    matches = leaks.find_leaks(train_entries, test_entries, near)
    leaks.write_matches(matches, out)
    _show(matches, console)
    for name, entries in (("training", train_entries), ("test", test_entries)):
        if entries.unreadable:
            console.print(f"[yellow]{len(entries.unreadable)} {name} row(s) could not be compared:[/]")
            for line in entries.unreadable[:_SHOWN]:
                console.print(f"  {escape(line)}", highlight=False)
    leaked = {match.train_row for match in matches}
    console.print(
        f"{len(leaked)} of {len(train_entries.rows)} training rows are among {len(test_entries.rows)} test rows "
        f"({len(matches)} matches in {out})",
        highlight=False,
    )
    if remove is not None:
        console.print(f"[green]done:[/] {leaks.remove(train, leaked, remove)}; {remove}", highlight=False)
    return matches


def _show(matches: list[leaks.Match], console: Console) -> None:
    if not matches:
        return
    table = Table("test file", *KINDS, title="matches")
    for file, counts in leaks.count_by_test_file(matches).items():
        table.add_row(escape(file), *(str(counts[kind]) for kind in KINDS))
    console.print(table)
