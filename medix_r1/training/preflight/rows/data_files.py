"""Reads data files as far as preflight needs: schema and first rows, and of all rows what columns of text say.

Images are the bulk of a file. Their bytes are read for a few rows only; their number stands elsewhere in the column.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medix_r1.data.prepared import is_prepared, read_index

FIRST_ROWS = 64
_WITH_BYTES = 8
SUFFIXES = (".parquet", ".json", ".jsonl")  # what verl's RLHFDataset reads
_LAZY = {"buffer_size": 1 << 20, "pre_buffer": False}  # read pages, not whole column chunks


class UnreadableFile(Exception):
    """A data file that verl cannot read; the text says why."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """The beginning of a data file.

    Attributes:
        path: of the file.
        schema: of its columns.
        num_rows: rows of the file; None if they were not counted.
        rows: the first ones, without bytes of images.
        with_bytes: the column of images of the first few rows, bytes included; empty without such a column.
        decodes_images: `datasets` turns the column of images into pictures, as its metadata ask for.
    """

    path: Path
    schema: pa.Schema
    num_rows: int | None
    rows: Sequence[Mapping[str, Any]]
    with_bytes: Sequence[Any]
    decodes_images: bool


def read_beginning(path: Path, image_key: str) -> DataFile:
    """Read the beginning of a parquet, JSON or JSONL file.

    Raises:
        UnreadableFile: it is none of them, or broken.
    """
    if path.suffix not in SUFFIXES:
        raise UnreadableFile(
            f"{path}: verl reads {', '.join(SUFFIXES)}, not {path.suffix or 'a file without a suffix'}"
        )
    try:
        return _parquet(path, image_key) if path.suffix == ".parquet" else _json(path, image_key)
    except (OSError, ValueError, TypeError) as error:  # pyarrow's errors are ValueErrors, or of types that differ
        raise _broken(path, error) from error


def later_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows after those that `read_beginning` reads, without bytes of images.

    Raises:
        UnreadableFile: the file is broken.
    """
    try:
        if path.suffix != ".parquet":
            yield from itertools.islice(_json_rows(path), FIRST_ROWS, None)
            return
        with pq.ParquetFile(path, **_LAZY) as file:
            leaves = [file.schema.column(number) for number in range(len(file.schema))]
            light = [leaf.path for leaf in leaves if not _is_binary(leaf)]
            batches = file.iter_batches(batch_size=FIRST_ROWS, columns=light, use_threads=False)
            for batch in itertools.islice(batches, 1, None) if file.metadata.num_rows > FIRST_ROWS else ():
                yield from batch.to_pylist()
    except (OSError, ValueError, TypeError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> UnreadableFile:
    return UnreadableFile(f"{path} is no whole {path.suffix[1:]} file: {str(error).splitlines()[0]}")


def _parquet(path: Path, image_key: str) -> DataFile:
    with pq.ParquetFile(path, **_LAZY) as file:
        leaves = [file.schema.column(number) for number in range(len(file.schema))]
        light = [leaf.path for leaf in leaves if not _is_binary(leaf)]
        rows = _first(file, FIRST_ROWS, light)
        pictures = _first(file, _WITH_BYTES, [image_key]) if image_key in file.schema_arrow.names else []
        return DataFile(
            path=path,
            schema=file.schema_arrow,
            num_rows=file.metadata.num_rows,
            rows=rows,
            with_bytes=[row[image_key] for row in pictures],
            decodes_images=b'"Image"' in (file.schema_arrow.metadata or {}).get(b"huggingface", b""),
        )


def _is_binary(leaf: Any) -> bool:
    return leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type == "NONE"


def _first(file: pq.ParquetFile, number: int, columns: Sequence[str]) -> list[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=number, columns=list(columns), use_threads=False):
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    return []


def _json(path: Path, image_key: str) -> DataFile:
    rows = [row for _, row in zip(range(FIRST_ROWS), _json_rows(path), strict=False)]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a row is no JSON object")
    table = pa.Table.from_pylist(rows) if rows else pa.table({})
    pictures = [row.get(image_key) for row in rows[:_WITH_BYTES]]
    return DataFile(path, table.schema, None, rows, [one for one in pictures if one is not None], False)


def _json_rows(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as file:  # `datasets` takes a byte order mark too
        if file.read(1) == "[":
            file.seek(0)
            yield from json.load(file)
            return
        file.seek(0)
        yield from (json.loads(line) for line in file if line.strip())


@dataclass(frozen=True, slots=True)
class AllRows:
    """What is known of all rows; each is empty where the files do not tell.

    Attributes:
        sources: data sources.
        references: right answers, each once.
        images: most images of a row, and the file that it is in; None if unknown.
        longest: tokens of the longest prompt, as `data prepare` counted them; None if unknown.
        pixels: mean pixels of a row's images, all together, within the given limits; None if unknown.
        largest: pixels of the largest image, within the given limits; None if unknown.
    """

    sources: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()
    images: tuple[int, str] | None = None
    longest: int | None = None
    pixels: float | None = None
    largest: float | None = None


def read_all(paths: Sequence[Path], *, low: int | None = None, high: int | None = None) -> AllRows:
    """Read sources and references of all rows; of shards that `data prepare` wrote, also what their index says.

    Args:
        paths: of the files.
        low: limit of an image's pixels, for `AllRows.pixels`.
        high: the same, above.

    Raises:
        UnreadableFile: a file is broken.
    """
    changes = tuple((path, path.stat().st_mtime_ns) for path in paths)
    return _read_all(changes, low, high)


@functools.lru_cache(maxsize=4)  # several checks ask, and the files may be large
def _read_all(changes: tuple[tuple[Path, int], ...], low: int | None, high: int | None) -> AllRows:
    files = [path for path, _ in changes if path.suffix == ".parquet"]
    if len(files) < len(changes):
        return AllRows()
    sources, references = (_distinct(files, column) for column in ("data_source", "reward_model.ground_truth"))
    folders = {path.parent for path in files}
    if len(folders) != 1 or not is_prepared(folder := folders.pop()):
        return AllRows(sources, references)
    return _with_index(AllRows(sources, references), folder, {path.name for path in files}, (low or 0, high))


def read_difficulties(paths: Sequence[Path]) -> Sequence[Any]:
    """`extra_info.difficulty` of every row, in order; None where a row has none.

    Raises:
        UnreadableFile: a file is broken.
    """
    return _difficulties(tuple((path, path.stat().st_mtime_ns) for path in paths))


@functools.lru_cache(maxsize=4)  # several checks ask
def _difficulties(changes: tuple[tuple[Path, int], ...]) -> Sequence[Any]:
    found: list[Any] = []
    for path, _ in changes:
        if path.suffix != ".parquet":
            try:
                found += [(row.get("extra_info") or {}).get("difficulty") for row in _json_rows(path)]
            except (OSError, ValueError, AttributeError) as error:
                raise _broken(path, error) from error
            continue
        for values in _batches(path, "extra_info.difficulty"):
            if values is None:
                found += [None] * pq.read_metadata(path).num_rows
            else:
                found += values.to_pylist()
    return found


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every row of a file, with those of the columns that it has.

    Raises:
        UnreadableFile: the file is broken.
    """
    try:
        if path.suffix != ".parquet":
            yield from ({name: row[name] for name in columns if name in row} for row in _json_rows(path))
            return
        with pq.ParquetFile(path, **_LAZY) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=there, batch_size=256, use_threads=False):
                yield from batch.to_pylist()
    except (OSError, ValueError, TypeError) as error:
        raise _broken(path, error) from error


def _distinct(files: Sequence[Path], column: str) -> frozenset[str]:
    found: set[str] = set()
    for path in files:
        for values in _batches(path, column):
            if values is None:
                return frozenset()
            found |= {str(value) for value in pc.unique(values).to_pylist() if value is not None}
    return frozenset(found)


def _batches(path: Path, column: str) -> Iterator[pa.Array | None]:
    """Values of a column (`reward_model.ground_truth`) of a parquet file; one None where there is no such column."""
    name, *fields = column.split(".")
    try:
        with pq.ParquetFile(path, **_LAZY) as file:
            if column not in {file.schema.column(number).path for number in range(len(file.schema))}:
                yield None
                return
            for batch in file.iter_batches(columns=[column], batch_size=1 << 14, use_threads=False):
                values = batch.column(name)
                for field in fields:
                    values = values.field(field)
                yield values
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error


def _with_index(known: AllRows, folder: Path, shards: set[str], limits: tuple[int, int | None]) -> AllRows:
    sides = [f"images.list.element.{name}" for name in ("width", "height")]
    try:
        table = read_index(folder, ["shard", "text_tokens", "image_tokens", *sides])
    except (OSError, ValueError):  # the folder holds shards without their index
        return known
    table = table.filter(pc.is_in(table["shard"], pa.array(sorted(shards), pa.string())))
    if not len(table):
        return known
    numbers = pc.list_value_length(table["images"]).to_pylist()
    most = max(range(len(numbers)), key=lambda row: numbers[row] or 0)
    low, high = limits
    pictures = [
        min(max(picture["width"] * picture["height"], low), high or math.inf)
        for row in table["images"].to_pylist()
        for picture in row or ()
    ]
    return AllRows(
        sources=known.sources,
        references=known.references,
        images=(numbers[most] or 0, table["shard"][most].as_py()),
        longest=pc.max(pc.add(table["text_tokens"], table["image_tokens"])).as_py(),
        pixels=sum(pictures) / len(table),
        largest=max(pictures, default=None),
    )
