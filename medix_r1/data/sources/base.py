"""The interface of a source: its revision, its units of work, and the rows of a unit.

Units are small, are the same on every start and can be read independently. So preparing can resume, and several
processes share the work.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from medix_r1.config import config_dir
from medix_r1.data.meaning.conversations import System, Turns, unfold
from medix_r1.data.meaning.pictures import picture_cells
from medix_r1.data.meaning.text import is_missing, literal_in_text
from medix_r1.data.row import RawRow, RowRejected
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.yaml_text import parse_yaml

FIELDS = (
    *("question", "answer", "conversation", "accepted", "images", "tag", "choices", "rubric", "rationale"),
    *("source", "id"),
)
REQUIRED = ("question", "answer")
_LISTED = 10_000  # files of a folder that are counted for an error
_NAMED = 5
UNREAD = "files not read"
_OF_ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".xlsx", ".xls", ".gz", ".zst")
_ADVICE = {
    ".xlsx": "save a workbook as CSV UTF-8",
    ".xls": "save a workbook as CSV UTF-8",
    ".arrow": "save it as parquet: datasets.load_from_disk(FOLDER).to_parquet(FILE)",
    ".zst": "unpack it: zstd -d FILE",
    ".zip": "unpack it; only pictures are read from a zip archive (data.image_root)",
    ".parquet": "data=parquet reads parquet",
    ".csv": "data=csv reads CSV",
    ".tsv": "data=csv reads TSV",
    ".jsonl": "data=jsonl reads JSON",
    ".json": "data=jsonl reads JSON",
}
_ALL_OF = ("images", "choices", "accepted")  # fields of which a list of columns means all


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
    """A set of rows in files.

    Attributes:
        name: source of rows that name none.

    It may have `notes`, a list of what a user should hear about its columns, known after `units`.
    """

    name: str

    def revision(self) -> Revision: ...

    def units(self, max_rows: int) -> list[Unit]: ...

    def rows(self, unit: Unit) -> Iterator[RawRow]: ...


Columns = Mapping[str, str | Sequence[str] | None]


@cache
def known_columns() -> Mapping[str, tuple[str, ...]]:
    """The names by which each field is known when the user maps nothing."""
    text = (config_dir() / "prepare/rows/default.yaml").read_text(encoding="utf-8")
    return {field: tuple(names) for field, names in parse_yaml(text)["columns"].items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """How the records of a source become rows; configs/prepare/rows/default.yaml describes each key."""

    columns: Columns
    turns: Turns = "reject"
    system: System = "reject"
    where: Mapping[str, Any] | None = None
    required: tuple[str, ...] = REQUIRED

    def rows(self, record: Mapping[str, Any], where: str, root: str | None) -> Iterator[RawRow]:
        """The rows of a record: none that `where` leaves out, one, or one for each turn of a conversation."""
        if not all(_is_equal(lookup(record, name), value) for name, value in (self.where or {}).items()):
            return
        try:
            rows = unfold(pick(record, self.columns), self.turns, self.system)
        except RowRejected as problem:
            yield RawRow(where, {}, root, problem=problem.detail)
            return
        for number, fields in enumerate(rows):
            yield RawRow(where if not number else f"{where}#{number + 1}", fields, root)


def _is_equal(found: Any, wanted: Any) -> bool:
    """Whether a cell has a value; in CSV, 1 is text."""
    return bool(found == wanted) or (found is not None and str(found) == str(wanted))


def column_names(columns: Columns, field: str) -> tuple[str, ...]:
    """Column names of a field, in order of preference."""
    names = columns.get(field) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def is_own(columns: Columns, field: str) -> bool:
    """Whether a user named the columns of a field, instead of leaving it to the known names."""
    names = column_names(columns, field)
    return bool(names) and not set(names) <= set(known_columns().get(field, ()))


def lookup(record: Mapping[str, Any], name: str) -> Any:
    """A column's value; a dot goes inside. Upper and lower case count only where both are columns."""
    if name in record:
        return record[name]
    if (same := _ignoring_case(record, name)) is not None:
        return record[same]
    outer, dot, inner = name.partition(".")
    inside = record.get(outer)
    if dot and isinstance(inside, str) and inside.lstrip().startswith("{"):
        inside = literal_in_text(inside.strip())
    return lookup(inside, inner) if dot and isinstance(inside, Mapping) else None


def _ignoring_case(names: Iterable[str], name: str) -> str | None:
    same = [found for found in names if str(found).casefold() == name.casefold()]
    return same[0] if len(same) == 1 else None


def pick(record: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Our fields of a record, each from the first of its columns that has a value, or from all of a user's list."""
    fields: dict[str, Any] = {}
    for name in FIELDS:
        cells = [lookup(record, column) for column in column_names(columns, name)]
        if name in _ALL_OF and len(cells) > 1 and is_own(columns, name):
            fields[name] = None if is_missing(cells) else _all_of(name, cells)
        else:
            told = [cell for cell in cells if not is_missing(cell)]
            fields[name] = next(iter(told or (cell for cell in cells if cell is not None)), None)
    return fields


def _all_of(name: str, cells: Sequence[Any]) -> list[Any]:
    """The cells of several columns as one list, in which a missing one keeps its place."""
    if name == "images":
        return [picture for cell in cells for picture in picture_cells(cell) or [None]]
    if name == "accepted":
        told = [cell for cell in cells if not is_missing(cell)]
        return [text for cell in told for text in (cell if isinstance(cell, list) else [cell])]
    return list(cells)


def check_columns(found: Iterable[str], reading: Reading, where: str, *, is_whole: bool = True) -> None:
    """Check that a file has a column for each required field and for each that the user named.

    Args:
        found: columns of the file, with those inside as `outer.inner`.
        reading: of the source.
        where: name of the file.
        is_whole: whether `found` are all columns; False where only some rows were looked at.

    Raises:
        ConfigError: all problems, with the columns of the file and the closest one.
    """
    found, columns = sorted(set(found)), reading.columns
    problems = [
        Problem(f"data.columns.{field}", "no-such-field", f"no such field; known: {', '.join(FIELDS)}")
        for field in columns
        if field not in FIELDS
    ]
    has_conversation = any(_is_there(name, found) for name in column_names(columns, "conversation"))
    has_rubric = any(_is_there(name, found) for name in column_names(columns, "rubric"))
    for field_name in FIELDS:
        wanted = column_names(columns, field_name)
        absent = [name for name in wanted if not _is_there(name, found)]
        if field_name in reading.required:
            by_rubric = has_rubric and field_name == "answer"  # a rubric needs no answer, and some rows may have one
            told = (has_conversation or by_rubric) and not is_own(columns, field_name)
            if told or len(absent) < len(wanted) or (by_rubric and not is_whole):
                absent = []
            elif not wanted:
                absent = [field_name]
        elif not is_own(columns, field_name) or not is_whole:
            absent = []
        if absent:
            problems.append(_no_such_column(field_name, absent, found, where))
    for name in reading.where or ():
        if not _is_there(name, found):
            problems.append(_no_such_column(name, [name], found, where, key=f"data.where.{name}"))
    if problems:
        raise ConfigError(problems)


def _is_there(name: str, found: Sequence[str]) -> bool:
    return name in found or _ignoring_case(found, name) is not None


def _no_such_column(
    field_name: str, absent: Sequence[str], found: Sequence[str], where: str, *, key: str | None = None
) -> Problem:
    wanted = (*absent, field_name)
    holds = [column for name in wanted for column in found if name.lower() in column.lower()]
    near = holds or [one for name in wanted for one in difflib.get_close_matches(name, found, n=1, cutoff=0.75)]
    hint = f"; did you mean {near[0]}?" if near else ""
    says = f"{where} has no column {' or '.join(absent)}{hint} (it has: {', '.join(found) or 'none'})"
    return Problem(key or f"data.columns.{field_name}", "no-such-column", says)


def local_files(path: str | None, *kinds: str | Sequence[str]) -> tuple[Path, list[Path]]:
    """Root folder and sorted files, of a path to a file, or to a folder: those of the first kind that there are any of.

    Args:
        path: to either.
        kinds: patterns of names, each alone or several that are one kind.

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
    patterns = [(kind,) if isinstance(kind, str) else tuple(kind) for kind in kinds]
    for kind in patterns:
        if files := sorted({file for pattern in kind for file in root.rglob(pattern) if file.is_file()}):
            return root, files
    if not root.is_dir():
        is_there = "is neither a file nor a folder" if root.exists() else "does not exist"
        raise ConfigError.of("data.path", "no-such-file", f"{root} {is_there}")
    there = Counter(file.suffix or "no suffix" for file in islice(root.rglob("*"), _LISTED) if file.is_file())
    what = ", ".join(f"{count} {suffix}" for suffix, count in there.most_common(5)) or "nothing"
    named = " or ".join(pattern for kind in patterns for pattern in kind)
    hint = next((f"; {advice}" for suffix, advice in _ADVICE.items() if there[suffix]), "")
    raise ConfigError.of("data.path", "no-such-file", f"{root} holds no file like {named} (it holds {what}){hint}")


def unread_files(root: Path, read: Sequence[Path]) -> list[str]:
    """A note on files of a folder that look like rows and are not among those that are read; empty without any."""
    taken = set(read)
    others = (file for file in islice(root.rglob("*"), _LISTED) if file.suffix in _OF_ROWS and file not in taken)
    names = sorted(str(file.relative_to(root)) for file in others if file.is_file())
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{root.name}: {UNREAD}: {', '.join(names[:_NAMED])}{more}"] if names else []


def file_revision(kind: str, root: Path, files: Sequence[Path]) -> Revision:
    """A revision from names, sizes and modification times, so that contents need not be read for it."""
    import hashlib

    digest = hashlib.sha256()
    names = [str(file.relative_to(root)) for file in files]
    for name, file in zip(names, files, strict=True):
        status = file.stat()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return Revision(kind, str(root), digest.hexdigest()[:16], tuple(names[:1000]))
