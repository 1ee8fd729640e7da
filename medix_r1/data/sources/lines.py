"""Rows in JSONL and CSV files. `units` reads each file once, to find the byte offset of each unit."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from medix_r1.data.row import RawRow
from medix_r1.data.sources.base import (
    REQUIRED,
    Columns,
    Revision,
    Unit,
    check_columns,
    file_revision,
    local_files,
    pick,
)
from medix_r1.errors import DataError

_MAX_LINE = 512 * 2**20  # a line may hold images as base64
_SAMPLED = 50  # rows whose keys are checked before the work starts


class _LineFiles:
    """Files of either kind; image paths are relative to the file's folder or to `image_root`."""

    kind, pattern = "", ""

    def __init__(
        self,
        *,
        path: str | None,
        columns: Columns,
        image_root: str | None = None,
        name: str | None = None,
        required: Sequence[str] = REQUIRED,
    ) -> None:
        self._columns, self._required = columns, tuple(required)
        self._root, self._files = local_files(path, self.pattern)
        self._image_root = Path(image_root).expanduser() if image_root else None
        self.name = name or (self._files[0].stem if len(self._files) == 1 else self._root.name)

    def revision(self) -> Revision:
        return file_revision(self.kind, self._root, self._files)

    def _names(self) -> list[str]:
        return [str(file.relative_to(self._root)) for file in self._files]

    def _root_of(self, name: str) -> str:
        return str(self._image_root or (self._root / name).parent)


class JsonlSource(_LineFiles):
    """One JSON object for each line; empty lines are skipped."""

    kind, pattern = "jsonl", "*.jsonl"

    def units(self, max_rows: int) -> list[Unit]:
        """Ranges of `max_rows` lines."""
        self._check_columns()
        units: list[Unit] = []
        for name in self._names():
            start = offset = line = position = 0
            with (self._root / name).open("rb") as file:
                while text := file.readline(_MAX_LINE):
                    line, position = line + 1, position + len(text)
                    if line - start == max_rows:
                        units.append(Unit(len(units), name, start, line, offset))
                        start, offset = line, position
            if line > start:
                units.append(Unit(len(units), name, start, line, offset))
        return units

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        root = self._root_of(unit.file)
        with (self._root / unit.file).open("rb") as file:
            file.seek(unit.offset)
            for line in range(unit.start, unit.stop):
                if (text := file.readline(_MAX_LINE)).strip():
                    yield _parse(text, f"{unit.file}:{line + 1}", self._columns, root)

    def _check_columns(self) -> None:
        found: set[str] = set()
        with self._files[0].open("rb") as file:
            for text in islice(iter(lambda: file.readline(_MAX_LINE), b""), _SAMPLED):
                try:
                    record = json.loads(text)
                except (ValueError, RecursionError):
                    continue
                found |= set(record) if isinstance(record, dict) else set()
        check_columns(found, self._columns, self._files[0].name, self._required)


def _parse(text: bytes, where: str, columns: Columns, root: str) -> RawRow:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        return RawRow(where, {}, root, problem=f"not a line of JSON: {error}"[:200])
    if not isinstance(record, dict):
        return RawRow(where, {}, root, problem=f"a {type(record).__name__} instead of an object")
    return RawRow(where, pick(record, columns), root)


class CsvSource(_LineFiles):
    """A header, then one row for each record; a cell that starts with `[` holds a JSON list."""

    kind, pattern = "csv", "*.csv"

    def units(self, max_rows: int) -> list[Unit]:
        """Ranges of `max_rows` records; a quoted cell may contain line breaks."""
        units: list[Unit] = []
        for name in self._names():
            with (self._root / name).open("rb") as file:
                lines = _CountedLines(file)
                records = _reader(lines)
                check_columns(next(records, []), self._columns, name, self._required)
                start, offset, number = 0, lines.position, 0
                for _ in records:
                    number += 1
                    if number - start == max_rows:
                        units.append(Unit(len(units), name, start, number, offset))
                        start, offset = number, lines.position
                if number > start:
                    units.append(Unit(len(units), name, start, number, offset))
        return units

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        root = self._root_of(unit.file)
        with (self._root / unit.file).open("rb") as file:
            header = next(_reader(_CountedLines(file)))
            file.seek(unit.offset)
            records = _reader(_CountedLines(file))
            for number, cells in zip(range(unit.start, unit.stop), records, strict=False):
                where = f"{unit.file}:{number + 1}"
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    yield RawRow(where, {}, root, problem=f"{len(cells)} cells under {len(header)} headings")
                else:
                    record: dict[str, Any] = {key: cell or None for key, cell in zip(header, cells, strict=True)}
                    yield RawRow(where, pick(record, self._columns), root)


class _CountedLines:
    """Lines of a binary file as text; `position` is the byte offset after the last line read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = file.tell()

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(_MAX_LINE):
            start = self.position
            self.position += len(line)
            # invalid UTF-8 becomes surrogates, so that only its own row is rejected
            yield (line.removeprefix(b"\xef\xbb\xbf") if start == 0 else line).decode(errors="surrogateescape")


def _reader(lines: _CountedLines) -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_LINE)
    try:
        yield from csv.reader(lines)
    except csv.Error as error:
        raise DataError(f"not a CSV file: {error}", code="not-csv") from error
