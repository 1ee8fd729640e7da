"""Rows in JSON files: one object a line, or one list of objects. `units` reads each file of lines once, for offsets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from medix_r1.data.row import RawRow
from medix_r1.data.sources import packed
from medix_r1.data.sources.base import Reading, Unit, known_columns
from medix_r1.data.sources.csv_file import CsvSource
from medix_r1.data.sources.look import SAMPLED, look
from medix_r1.data.sources.packed import Lines, TooLong, opened
from medix_r1.data.sources.text_files import Cutter, TextFiles
from medix_r1.data.sources.text_files import packed_patterns as _packed
from medix_r1.errors import ConfigError, DataError

__all__ = ["CsvSource", "JsonlSource", "rows_of_line"]  # CSV had its source here

_MOST_BYTES = 2**30  # of a list, which is read as a whole


class JsonlSource(TextFiles):
    """One JSON object for each line, empty lines skipped; or a list of objects, alone or as an object's one list."""

    kind = "jsonl"
    kinds = (_packed("jsonl", "ndjson"), _packed("json"))

    def units(self, max_rows: int) -> list[Unit]:
        """Ranges of `max_rows` lines, or of objects of a list."""
        units: list[Unit] = []
        is_looked_at = False
        for name in self.names():
            path = self.root / name
            if not is_looked_at and path.stat().st_size:
                self.notes = [*look(self._sample(path), self.reading, name, is_whole=False), *self.unread()]
                is_looked_at = True
            if (listed := self._listed(path)) is not None:
                starts = range(0, len(listed), max_rows)
                cut = [(start, min(start + max_rows, len(listed))) for start in starts]
                units += [Unit(len(units) + n, name, *ends) for n, ends in enumerate(cut)]
                continue
            with opened(path, self.encoding) as (file, is_plain):
                cutter, lines = Cutter(max_rows), Lines(file, 0, is_plain=is_plain)
                for _ in lines:
                    cutter.advance(lines.position)
            units += cutter.units(len(units), name, is_plain=is_plain)
        return units

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        root, path = self.root_of(unit.file), self.root / unit.file
        if (listed := self._listed(path)) is not None:
            for number, record in enumerate(listed[unit.start : unit.stop], unit.start + 1):
                yield from rows_of_record(record, f"{unit.file}:{number}", self.reading, root)
            return
        with opened(path, self.encoding) as (file, is_plain):
            lines = islice(Lines(file, unit.offset, is_plain=is_plain), unit.stop - unit.start)
            for line, text in enumerate(lines, unit.start + 1):
                if isinstance(text, TooLong):
                    says = f"a line of more than {packed.MAX_LINE} bytes; give large pictures as files"
                    yield RawRow(f"{unit.file}:{line}", {}, root, problem=says)
                elif text.strip():
                    yield from rows_of_line(text, f"{unit.file}:{line}", self.reading, root)

    def _listed(self, path: Path) -> Sequence[Any] | None:
        status = path.stat()
        return _list_of(path, self.encoding, status.st_size, status.st_mtime_ns)

    def _sample(self, path: Path) -> list[Mapping[str, Any]]:
        """The first records of a file.

        Raises:
            ConfigError: there is none.
        """
        if (listed := self._listed(path)) is not None:
            found = [record for record in listed[:SAMPLED] if isinstance(record, Mapping)]
            if listed and not found:
                raise ConfigError.of(
                    "data.path", "not-json", f"{path.name} is a list of {type(listed[0]).__name__}, not of objects"
                )
            return found
        with opened(path, self.encoding) as (file, is_plain):
            lines = [text for text in islice(Lines(file, 0, is_plain=is_plain), SAMPLED) if text.strip()]
        if found := [record for record in map(_parsed, lines) if isinstance(record, Mapping)]:
            return found
        wrong = (row.problem for text in lines for row in rows_of_line(text, "", self.reading, ""))
        why = next((f" (the first is {problem})" for problem in wrong if problem), "")
        raise ConfigError.of(
            "data.path",
            "not-json",
            f"no line of {path.name} is an object of JSON{why}; CSV is read with data=csv, parquet with data=parquet, "
            "another encoding than UTF-8 with data.encoding",
        )


@lru_cache(maxsize=1)  # a process reads a file's units one after the other
def _list_of(path: Path, encoding: str | None, size: int, changed: int) -> Sequence[Any] | None:
    """The records of a file that is one JSON value; None for a file of lines."""
    with opened(path, encoding) as (file, is_plain):
        lines = (text for text in Lines(file, 0, is_plain=is_plain) if text.strip())
        first, second = next(lines, b"").strip(), next(lines, None)
    one = _parsed(first)
    if isinstance(one, dict):
        if second is None:
            _refuse_other_layouts(one, path)
        return _inside(one, path) if second is None and _is_wrapper(one) else None
    if second is not None and (isinstance(one, list) or not _goes_on(first)):
        return None  # lines, of which the first is damaged
    if not first.startswith((b"[", b"{")):
        return None
    if size > _MOST_BYTES:
        raise DataError(
            f"{path} is one JSON value of more than {_MOST_BYTES} bytes; make it lines of JSON", code="too-large"
        )
    with opened(path, encoding) as (file, _):
        text = file.read().strip()
    try:
        whole = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        if first.startswith(b"{") and not isinstance(error, _Repeated):
            return None
        raise DataError(f"{path} begins as a list of JSON and is none: {error}", code="not-json") from error
    if isinstance(whole, dict):
        _refuse_other_layouts(whole, path)
        return _inside(whole, path) if _is_wrapper(whole) else [whole]
    return list(whole)


def _goes_on(first: bytes) -> bool:
    """Whether a first line can be the beginning of a longer value, as `[` or `{"data": [`."""
    return first.startswith(b"[") or (first.startswith(b"{") and not first.endswith(b"}"))


def _is_wrapper(value: Mapping[str, Any]) -> bool:
    """Whether an object is no row, but holds rows: it has none of a row's columns, and a list of objects."""
    known = known_columns()
    names = {name for field in ("question", "answer", "conversation") for name in known[field]}
    return not names & set(value) and bool(_lists(value))


def _refuse_other_layouts(value: Mapping[str, Any], path: Path) -> None:
    """Refuse an object that holds many rows in another way than as a list of them.

    Raises:
        DataError: it is a table by columns, as pandas writes it by default, or rows by their names.
    """
    known = known_columns()
    by_columns = any(_is_column(value[name]) for name in known["question"] if name in value)
    is_split = {"columns", "data"} <= set(value) and isinstance(value["data"], list)
    if by_columns or is_split:
        says = "is a table by columns; make it a list of rows: pandas.DataFrame.to_json(FILE, orient='records')"
        raise DataError(f"{path} {says}", code="not-rows")
    of_rows = {name for field in ("question", "answer", "conversation") for name in known[field]}
    if value and all(isinstance(row, dict) and of_rows & set(row) for row in value.values()):
        raise DataError(f"{path} holds its rows under names; make it a list of them", code="not-rows")


def _is_column(value: Any) -> bool:
    """Whether a value is a column's: a list of cells, or a mapping from the numbers of rows."""
    if isinstance(value, dict):
        return bool(value) and all(key.isdecimal() for key in value)
    return isinstance(value, list) and bool(value) and not any(isinstance(item, dict | list) for item in value)


class _Repeated(ValueError):
    """A name stands twice in one object, so one of its values would be lost."""

    def __init__(self, name: str) -> None:
        self.msg = f"{name!r} stands in it twice"
        super().__init__(self.msg)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names are all different.

    Raises:
        ValueError: two are the same.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found


def _lists(value: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, inside in value.items()
        if isinstance(inside, list) and inside and all(isinstance(item, dict) for item in inside)
    ]


def _inside(value: Mapping[str, Any], path: Path) -> Sequence[Any]:
    names = _lists(value)
    if len(names) > 1:
        raise DataError(
            f"{path} has several lists of rows ({', '.join(names)}); save one of them", code="several-lists"
        )
    return list(value[names[0]])


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def rows_of_line(text: bytes, where: str, reading: Reading, root: str) -> Iterator[RawRow]:
    """The rows of one line of JSON, or of one small file of JSON."""
    try:
        record = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        says = "" if isinstance(error, RecursionError) else f": {getattr(error, 'msg', 'not UTF-8')}"
        yield RawRow(where, {}, root, problem=f"not a line of JSON{says}")
        return
    yield from rows_of_record(record, where, reading, root)


def rows_of_record(record: Any, where: str, reading: Reading, root: str) -> Iterator[RawRow]:
    """The rows of one object."""
    if not isinstance(record, dict):
        yield RawRow(where, {}, root, problem=f"a {type(record).__name__} instead of an object")
        return
    yield from reading.rows(record, where, root)
