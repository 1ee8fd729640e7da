"""Rows in CSV files of any delimiter. `units` reads each file once, to find the byte offset of each unit."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from medix_r1.data.row import RawRow
from medix_r1.data.sources.base import Columns, Unit, check_columns
from medix_r1.data.sources.look import SAMPLED, look
from medix_r1.data.sources.packed import MAX_LINE, Lines, opened
from medix_r1.data.sources.text_files import Cutter, TextFiles, packed_patterns
from medix_r1.errors import ConfigError, DataError

_DELIMITERS = (",", ";", "\t", "|")
_TOLD = re.compile(rb"sep=(.)\s*$")  # the first line of some of Excel's files


@dataclass(frozen=True, slots=True)
class _Table:
    """An open file after its header."""

    header: list[str]
    delimiter: str
    records: Iterator[list[str]]
    lines: Lines
    is_plain: bool


class CsvSource(TextFiles):
    """A header, then one row for each record; a cell that starts with `[` holds a JSON list."""

    kind = "csv"
    kinds = (packed_patterns("csv", "tsv"),)

    def __init__(self, *, path: str | None, columns: Columns, delimiter: str | None = None, **settings: Any) -> None:
        super().__init__(path=path, columns=columns, **settings)
        self._delimiter = delimiter

    def units(self, max_rows: int) -> list[Unit]:
        """Ranges of `max_rows` records; a quoted cell may contain line breaks."""
        units: list[Unit] = []
        for number, name in enumerate(self.names()):
            with self._table(name) as table:
                sample = [self._record(table.header, cells) for cells in islice(table.records, SAMPLED)]
                full = [record for record in sample if record is not None]
                if not number:
                    self.notes = look(full, self.reading, name, found=table.header, is_whole=True) + self.unread()
                else:
                    check_columns(table.header, self.reading, name)
            with self._table(name) as table:
                cutter = Cutter(max_rows, table.lines.position)
                for _ in table.records:
                    cutter.advance(table.lines.position)
                units += cutter.units(len(units), name, is_plain=table.is_plain)
        return units

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        root = self.root_of(unit.file)
        with self._table(unit.file) as table, self._entered(unit, table) as records:
            for number, cells in zip(range(unit.start, unit.stop), records, strict=False):
                where = f"{unit.file}:{number + 1}"
                if not any(cell.strip() for cell in cells):
                    continue
                record = self._record(table.header, cells)
                if record is None:
                    says = f"{len(cells)} cells under {len(table.header)} headings"
                    yield RawRow(where, {}, root, problem=says)
                else:
                    yield from self.reading.rows(record, where, root)

    @staticmethod
    def _record(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | None:
        return dict(zip(header, cells, strict=True)) if len(cells) == len(header) else None

    @contextmanager
    def _entered(self, unit: Unit, table: _Table) -> Iterator[Iterator[list[str]]]:
        """The records from a unit's first on."""
        with opened(self.root / unit.file, self.encoding) as (file, is_plain):
            yield _reader(Lines(file, unit.offset, is_plain=is_plain), table.delimiter)

    @contextmanager
    def _table(self, name: str) -> Iterator[_Table]:
        path = self.root / name
        delimiter, told = self._delimiter_of(path)
        with opened(path, self.encoding) as (file, is_plain):
            lines = Lines(file, 0, is_plain=is_plain)
            if told:
                next(iter(lines), None)
            records = _reader(lines, delimiter)
            header = [cell.strip() for cell in next(records, [])]
            if twice := [cell for cell, count in Counter(header).items() if count > 1 and cell]:
                raise DataError(f"{path} has two columns {', '.join(twice)}; rename one", code="column-twice")
            yield _Table(header, delimiter, records, lines, is_plain)

    def _delimiter_of(self, path: Path) -> tuple[str, bool]:
        """The delimiter, and whether a line above the header says it.

        It is that under which the header has the columns that are needed, else that which gives the most columns.
        """
        with opened(path, self.encoding) as (file, is_plain):
            head = list(islice(Lines(file, 0, is_plain=is_plain), 2))
        match = _TOLD.match(head[0]) if head else None
        told = bool(match) and len(head) > 1
        if self._delimiter:
            return self._delimiter, told
        if match and told:
            return match[1].decode("latin-1"), True
        first = head[0].decode(errors="surrogateescape") if head else ""
        headers = {mark: [cell.strip() for cell in next(csv.reader([first], delimiter=mark))] for mark in _DELIMITERS}
        return max(_DELIMITERS, key=lambda mark: (self._fits(headers[mark]), len(headers[mark]))), False

    def _fits(self, header: Sequence[str]) -> bool:
        try:
            check_columns(header, self.reading, "")
        except ConfigError:
            return False
        return True


def _reader(lines: Lines, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_LINE)
    quotes = first = 0

    def texts() -> Iterator[str]:
        nonlocal quotes
        for line in lines:
            quotes += line.count(b'"')
            yield line.decode(
                errors="surrogateescape"
            )  # invalid UTF-8 becomes surrogates: only its own row is rejected
        if quotes % 2 and lines.count - first > 1:  # the csv module would take all these lines for one row
            says = f"a quotation mark in the row at line {first + 1} is not closed; close or double it"
            raise DataError(f"not a CSV file: {says}", code="not-csv")

    try:
        for record in csv.reader(texts(), delimiter=delimiter):
            quotes, first = 0, lines.count
            yield record
    except csv.Error as error:
        raise DataError(f"not a CSV file: {error}", code="not-csv") from error
