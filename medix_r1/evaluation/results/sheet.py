"""Rendering of tables: for people in the terminal or as Markdown, for programs as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.agreement import Interval
from medix_r1.evaluation.results.statistics import Estimate
from medix_r1.pages.wrapped import hanging
from medix_r1.untrusted import cell, one_line, plain


def _width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that a table takes."""
    return sum(max(map(cell_len, column)) + 2 for column in zip(header, *rows, strict=True))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of formatted cells with a title and notes.

    Attributes:
        title: one line.
        header: names of the columns; the first is left-aligned text, the others numbers.
        rows: formatted cells.
        notes: sentences below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def show(self, console: Console) -> None:
        """Print the table."""
        header, rows = self.header, self.rows
        if _width(header, rows) > console.width and len(rows) < len(header):  # a row for each column is narrower
            header, *rows = [list(column) for column in zip(header, *rows, strict=True)]
        if _width(header, rows) > console.width:
            self._show_lines(console)
        else:
            self._show_table(header, rows, console)
        for note in self.notes:
            console.print(escape(hanging("", plain(note), console.width)), highlight=False)
        console.print()

    def _show_lines(self, console: Console) -> None:
        """Print a few lines for each row, where the table is too wide: no word and no interval is broken."""
        console.print(f"[bold]{escape(hanging('', plain(self.title), console.width))}[/]", highlight=False)
        for name, *cells in self.rows:
            console.print(f"[bold]{escape(hanging('', plain(name), console.width))}[/]", highlight=False)
            line = " "
            for header, value in zip(self.header[1:], cells, strict=True):
                said = f" {plain(header)} {plain(value)}" if value.strip() else ""
                if said and cell_len(line + said) + 1 > console.width and line.strip():
                    console.print(escape(line), highlight=False, soft_wrap=True)
                    line = " "
                line += said + ";" if said else ""
            console.print(escape(line.removesuffix(";")), highlight=False, soft_wrap=True)

    def _show_table(self, header: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
        table = Table(title=escape(plain(self.title)), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
        table.show_edge, table.pad_edge, table.padding = False, False, (0, 1, 0, 0)
        for number, name in enumerate(header):
            table.add_column(escape(name), justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(plain(value)) for value in row))
        console.print(table)

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"## {_words(self.title)}", "", _line(self.header), "|---|" + "---:|" * (len(self.header) - 1)]
        lines += [_line(row) for row in self.rows]
        lines += ["", *(f"- {_words(note)}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as CSV. None is an empty cell; text that a spreadsheet takes for a formula is escaped."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], quoting=csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows({k: cell(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows)
    return file.getvalue()


def number(value: float | None, form: str = ".3f") -> str:
    """A formatted number, or a dash for None."""
    return "-" if value is None else format(value, form)


def between(interval: Interval | None, form: str = ".3f") -> str:
    """A formatted interval, or "no interval" for None."""
    return "no interval" if interval is None else f"[{interval.low:{form}}, {interval.high:{form}}]"


def p_value(value: float | None) -> str:
    """A p-value with three decimals, or `<0.001`."""
    return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def flat(estimate: Estimate, name: str = "score") -> dict[str, Any]:
    """An estimate as CSV columns: value, bounds, counts and note."""
    interval = estimate.interval
    return {
        name: estimate.value,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
        f"{name}_samples": estimate.samples,
        f"{name}_clusters": estimate.clusters,
        f"{name}_note": estimate.note,
    }


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_words(value) for value in cells)} |"


def _words(text: str) -> str:
    """Text escaped for Markdown, so that names and reasons in it cannot act as markup."""
    shown = one_line(text, limit=2000).replace("&", "&amp;").replace("<", "&lt;").replace("`", "'")
    return shown.replace("|", "\\|").replace("](", "]\\(").replace("$", "\\$")
