"""Reads a prepared folder: its manifest, its index, its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medix_r1.data.files import read_json
from medix_r1.errors import ConfigError

MANIFEST, REJECTS, STAGING = "manifest.json", "rejects.jsonl", ".staging"
_BATCH = 8


def is_prepared(folder: Path) -> bool:
    """Whether `medix-r1 data prepare` has finished in this folder."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a prepared folder.

    Raises:
        ConfigError: there is none, because preparing was not started or not finished.
    """
    if not is_prepared(folder):
        needed = "a folder that `medix-r1 data prepare` wrote is needed; this"
        if (folder / STAGING).is_dir():
            says = f"{needed} is not finished; run the same `data prepare` again"
            raise ConfigError.of(str(folder), "not-finished", says)
        raise ConfigError.of(str(folder), "not-prepared", f"{needed} is no such folder")
    manifest = read_json(folder / MANIFEST)
    assert isinstance(manifest, dict)
    return manifest


def read_index(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the index of all rows, in shard order; nested columns have names such as `images.list.element.sha256`."""
    files = sorted(folder.glob("index-*.parquet"))
    return pa.concat_tables([pq.ParquetFile(file).read(columns=list(columns) if columns else None) for file in files])


def shard_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Read a shard in small batches, because rows hold images."""
    with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=_BATCH, use_threads=False)
