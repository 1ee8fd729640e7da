"""The interface of a source: its revision, its units of work, and the rows of a unit.

Units are small, are the same on every start and can be read independently. So preparing can resume, and several
processes share the work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from medix_r1.data.row import RawRow
from medix_r1.errors import ConfigError, Problem

FIELDS = ("question", "answer", "accepted", "images", "tag", "choices", "source", "id")
REQUIRED = ("question", "answer")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work: consecutive rows of one file.

    Attributes:
        number: of the unit, counted from 0.
        file: relative to the source's root.
        start, stop: rows (or parquet row groups) of the file, half-open.
        offset: of the first row in bytes, for files of lines.
    """

    number: int
    file: str
    start: int
    stop: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Revision:
    """Identity of the source's data, to tell whether it has changed.

    Attributes:
        kind: of source, such as hub or jsonl.
        name: hub name or root folder.
        revision: commit on the hub; for files a hash over names, sizes and modification times.
        files: names.
    """

    kind: str
    name: str
    revision: str
    files: tuple[str, ...]


class Source(Protocol):
    """A set of rows in files."""

    name: str

    def revision(self) -> Revision: ...

    def units(self, max_rows: int) -> list[Unit]: ...

    def rows(self, unit: Unit) -> Iterator[RawRow]: ...


Columns = Mapping[str, str | Sequence[str]]


def column_names(columns: Columns, field: str) -> tuple[str, ...]:
    """Column names of a field, in order of preference."""
    names = columns.get(field) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def pick(record: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Our fields of a record, each from the first of its columns that has a value."""
    fields: dict[str, Any] = {}
    for field in FIELDS:
        present = [name for name in column_names(columns, field) if record.get(name) is not None]
        fields[field] = record[present[0]] if present else None
    return fields


def check_columns(found: Iterable[str], columns: Columns, where: str, required: Sequence[str] = REQUIRED) -> None:
    """Check that a file has a column for each required field, and that all configured fields are known.

    Raises:
        ConfigError: all problems, with the columns of the file and the closest one.
    """
    found = sorted(set(found))
    problems = [
        Problem(f"data.columns.{field}", "no-such-field", f"no such field; known: {', '.join(FIELDS)}")
        for field in columns
        if field not in FIELDS
    ]
    for field in required:
        wanted = column_names(columns, field)
        if not set(wanted) & set(found):
            near = difflib.get_close_matches((*wanted, field)[0], found, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(
                Problem(
                    f"data.columns.{field}",
                    "no-such-column",
                    f"{where} has no column {' or '.join(wanted) or field}{hint} "
                    f"(it has: {', '.join(found) or 'none'})",
                )
            )
    if problems:
        raise ConfigError(problems)


def local_files(path: str | None, pattern: str) -> tuple[Path, list[Path]]:
    """Root folder and sorted files, of a path to a file or to a folder whose files match a pattern.

    Raises:
        ConfigError: there is no such file.
    """
    if not path:
        raise ConfigError.of(
            "data.path", "no-value", "has no value; give a file or folder, as in data.path=my/rows.jsonl"
        )
    root = Path(path).expanduser()
    if root.is_file():
        return root.parent, [root]
    files = sorted(file for file in root.rglob(pattern) if file.is_file())
    if not files:
        what = f"holds no file like {pattern}" if root.is_dir() else "does not exist"
        raise ConfigError.of("data.path", "no-such-file", f"{root} {what}")
    return root, files


def file_revision(kind: str, root: Path, files: Sequence[Path]) -> Revision:
    """A revision from names, sizes and modification times, so that contents need not be read for it."""
    import hashlib

    digest = hashlib.sha256()
    names = [str(file.relative_to(root)) for file in files]
    for name, file in zip(names, files, strict=True):
        status = file.stat()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return Revision(kind, str(root), digest.hexdigest()[:16], tuple(names[:1000]))
