"""Rows in parquet files, local or on the hub; read page by page, so that large row groups do not fill the memory."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medix_r1.data.row import RawRow
from medix_r1.data.sources.base import (
    FIELDS,
    REQUIRED,
    Columns,
    Reading,
    Revision,
    Unit,
    column_names,
    file_revision,
    local_files,
    unread_files,
)
from medix_r1.data.sources.look import look
from medix_r1.errors import ConfigError, DataError

_BATCH = 4  # rows in memory at a time, images included
_HUB = "hf://"


class ParquetSource:
    """A parquet file, or a folder of them. Images: bytes, {bytes, path} as the hub stores them, or paths."""

    def __init__(
        self,
        *,
        path: str | None,
        columns: Columns,
        pattern: str = "*.parquet",
        image_root: str | None = None,
        name: str | None = None,
        required: Sequence[str] = REQUIRED,
        **reading: Any,
    ) -> None:
        self._reading = Reading(columns, required=tuple(required), **reading)
        self.notes: list[str] = []
        self._root, self._files = local_files(path, pattern)
        self._is_folder = Path(str(path)).expanduser().is_dir()
        self._image_root = str(Path(image_root).expanduser() if image_root else self._root)
        self.name = name or (self._files[0].stem if len(self._files) == 1 else self._root.name)

    def revision(self) -> Revision:
        return file_revision("parquet", self._root, self._files)

    def units(self, max_rows: int) -> list[Unit]:
        """Whole row groups, joined up to `max_rows` rows; a larger row group is one unit."""
        names = [str(file.relative_to(self._root)) for file in self._files]
        units, self.notes = _plan(names, self._open, self._reading, max_rows)
        self.notes += unread_files(self._root, self._files) if self._is_folder else []
        return units

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        with self._open(unit.file) as file:
            yield from _read(file, unit, self._reading, unit.file, self._image_root)

    @contextmanager
    def _open(self, name: str) -> Iterator[pq.ParquetFile]:
        path = self._root / name
        try:
            # buffer_size and pre_buffer make it read pages lazily instead of whole column chunks
            with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
                yield file
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise DataError(f"{path} is not a whole parquet file: {error}", code="not-parquet") from error


class HubSource:
    """Parquet files of a data set on the hub, streamed over the network without a copy on disk."""

    def __init__(
        self,
        *,
        repo: str,
        columns: Columns,
        revision: str = "main",
        pattern: str = "*.parquet",
        name: str | None = None,
        **reading: Any,
    ) -> None:
        from httpx import HTTPError
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        self._reading, self._repo = Reading(columns, **reading), repo
        self.notes: list[str] = []
        self.name = name or repo.rpartition("/")[2]
        try:
            info = HfApi().dataset_info(repo, revision=revision)
        except (HTTPError, HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError.of(
                "data.repo",
                "not-on-the-hub",
                f"the hub does not give {repo} at {revision} ({reason}); read a local copy with data.path=FOLDER",
            ) from error
        self._commit = str(info.sha)
        found = sorted(file.rfilename for file in info.siblings or ())
        self._names = [file for file in found if fnmatch.fnmatch(file, pattern) and file.endswith(".parquet")]
        if not self._names:
            raise ConfigError.of(
                "data.pattern",
                "no-file-of-pattern",
                f"{repo} has no file like {pattern}; it has {', '.join(found[:10])}",
            )

    def revision(self) -> Revision:
        return Revision("hub", self._repo, self._commit, tuple(self._names))

    def units(self, max_rows: int) -> list[Unit]:
        """Whole row groups, joined up to `max_rows` rows; a larger row group is one unit."""
        units, self.notes = _plan(self._names, self._open, self._reading, max_rows)
        return units

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        with self._open(unit.file) as file:
            yield from _read(file, unit, self._reading, unit.file, None)

    @contextmanager
    def _open(self, name: str) -> Iterator[pq.ParquetFile]:
        from httpx import HTTPError
        from huggingface_hub import HfFileSystem

        address = f"datasets/{self._repo}@{self._commit}/{name}"
        try:
            with HfFileSystem().open(address, "rb") as raw, pq.ParquetFile(raw, pre_buffer=False) as file:
                yield file
        except (OSError, HTTPError) as error:
            raise DataError(
                f"{_HUB}{address} could not be read ({error}); the same command again goes on", code="not-readable"
            ) from error


def hub_or_copy(
    *,
    path: str | None,
    repo: str,
    revision: str,
    pattern: str,
    columns: Columns,
    image_root: str | None = None,
    name: str | None = None,
    **reading: Any,
) -> Any:
    """A set of parquet files: a local copy of them if `path` is given, else the hub's."""
    name = name or repo.rpartition("/")[2]
    if path:
        pattern = pattern.rpartition("/")[2]
        return ParquetSource(path=path, columns=columns, pattern=pattern, image_root=image_root, name=name, **reading)
    return HubSource(repo=repo, columns=columns, revision=revision, pattern=pattern, name=name, **reading)


def medix_rl(*, path: str | None, repo: str, revision: str, pattern: str, columns: Columns, **reading: Any) -> Any:
    """MBZUAI/medix-rl-data, from a local copy of its parquet files if `path` is given, else from the hub."""
    reading["name"] = reading.get("name") or "medix-rl-data"
    return hub_or_copy(path=path, repo=repo, revision=revision, pattern=pattern, columns=columns, **reading)


def _plan(names: Sequence[str], opened: Any, reading: Reading, max_rows: int) -> tuple[list[Unit], list[str]]:
    units: list[Unit] = []
    notes: list[str] = []
    for number, name in enumerate(names):
        with opened(name) as file:
            if not number:
                notes = look(_sample(file), reading, name, found=_columns(file), is_whole=True)
            start = rows = 0
            for group in range(file.num_row_groups):
                here = file.metadata.row_group(group).num_rows
                if rows and rows + here > max_rows:
                    units.append(Unit(len(units), name, start, group))
                    start, rows = group, 0
                rows += here
            if rows:
                units.append(Unit(len(units), name, start, file.num_row_groups))
    return units, notes


def _columns(file: pq.ParquetFile) -> list[str]:
    """Names of the columns, with those inside a structure as `outer.inner`."""
    names = []
    for field in file.schema_arrow:
        names.append(field.name)
        if pa.types.is_struct(field.type):
            names += [f"{field.name}.{inner.name}" for inner in field.type]
    return names


def _sample(file: pq.ParquetFile) -> list[dict[str, Any]]:
    if not file.metadata.num_rows:
        return []
    for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
        return _records(batch)
    return []


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Columns whose numbers stand for names, which the hub's library keeps in the schema (ClassLabel)."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    labelled = {name: kind for name, kind in features.items() if isinstance(kind, dict)}
    return {name: kind["names"] for name, kind in labelled.items() if kind.get("_type") == "ClassLabel"}


def _records(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The records of a batch: numbers of 32 bits as written, 0.1 and not 0.10000000149011612; classes by name."""
    for number, field in enumerate(batch.schema):
        if pa.types.is_float16(field.type) or pa.types.is_float32(field.type):
            kind, values = field.type.to_pandas_dtype(), batch.column(number).to_pylist()
            short = [None if value is None else float(str(kind(value))) for value in values]
            batch = batch.set_column(number, field.name, pa.array(short, pa.float64()))
    records = list(batch.to_pylist(maps_as_pydicts="strict"))
    for name, names in _class_names(batch.schema).items():
        for record in records:
            number = record.get(name)
            if isinstance(number, int) and 0 <= number < len(names):
                record[name] = names[number]
    return records


def _read(file: pq.ParquetFile, unit: Unit, reading: Reading, name: str, image_root: str | None) -> Iterator[RawRow]:
    wanted = {column for field in FIELDS for column in column_names(reading.columns, field)} | set(reading.where or ())
    tops = {column.casefold() for column in wanted} | {column.partition(".")[0].casefold() for column in wanted}
    present = [column for column in file.schema_arrow.names if column.casefold() in tops]
    groups = list(range(unit.start, unit.stop))
    number = sum(file.metadata.row_group(group).num_rows for group in range(unit.start))
    for batch in file.iter_batches(batch_size=_BATCH, row_groups=groups, columns=present, use_threads=False):
        for record in _records(batch):
            yield from reading.rows(record, f"{name}:{number}", image_root)
            number += 1
