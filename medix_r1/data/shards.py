"""The second pass: joins staged units into numbered parquet shards of each split, with an index.

A shard's staging files are deleted when it is done, so the disk never holds all rows twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medix_r1.data.files import read_json, sha256_of, write_json
from medix_r1.data.groups import Split
from medix_r1.data.prepared import shard_batches
from medix_r1.data.row import INDEX_SCHEMA, VERL_SCHEMA
from medix_r1.data.staging import UnitResult, end_with_parent, run_all, unit_path
from medix_r1.host.files import atomic_file

SPLITS = ("train", "validation")
SHARD_INDEX_SCHEMA = pa.schema(
    [*INDEX_SCHEMA, ("split", pa.string()), ("shard", pa.string()), ("position", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Consecutive units that become one shard of each split.

    Attributes:
        number: of the shard.
        units: numbers of the units.
        kept, held_out: one boolean array for each unit, shape (rows of the unit,).
        first_index: `extra_info.index` of the first row, in training and in validation.
        staging: folder of the units.
        out: folder of the shards.
    """

    number: int
    units: tuple[int, ...]
    kept: tuple[np.ndarray[Any, Any], ...]
    held_out: tuple[np.ndarray[Any, Any], ...]
    first_index: tuple[int, int]
    staging: Path
    out: Path


def plan_shards(
    results: list[UnitResult], split: Split, shard_bytes: int, staging: Path, out: Path
) -> Iterator[ShardTask]:
    """Join consecutive units up to `shard_bytes` of staged rows, each with its slice of the split."""
    row = number = 0
    first = [0, 0]
    waiting: list[UnitResult] = []
    for position, result in enumerate(results):
        waiting.append(result)
        size = sum(unit.bytes for unit in waiting)
        if position + 1 < len(results) and size + results[position + 1].bytes <= shard_bytes:
            continue
        bounds = np.cumsum([row, *(unit.rows_out for unit in waiting)])
        slices = [slice(int(low), int(high)) for low, high in itertools.pairwise(bounds)]
        kept, held = [split.kept[s] for s in slices], [split.held_out[s] for s in slices]
        numbers = tuple(unit.number for unit in waiting)
        yield ShardTask(number, numbers, tuple(kept), tuple(held), (first[0], first[1]), staging, out)
        for side in (0, 1):
            first[side] += sum(int((k & (h == bool(side))).sum()) for k, h in zip(kept, held, strict=True))
        row, number, waiting = int(bounds[-1]), number + 1, []


def write_shards(tasks: list[ShardTask], workers: int, advance: Callable[[], None]) -> list[dict[str, Any]]:
    """Write the shards that are not done yet; return the manifest entries of all shards, in order."""
    left = [task for task in tasks if not _done_mark(task).is_file()]
    for _ in range(len(tasks) - len(left)):
        advance()
    if workers == 1 or len(left) <= 1:
        for task in left:
            write_shard(task)
            advance()
    else:
        pool = ProcessPoolExecutor(min(workers, len(left)), get_context("spawn"), initializer=end_with_parent)
        for _ in run_all(pool, write_shard, left, workers):
            advance()
    return [entry for task in tasks for entry in read_json(_done_mark(task))]


def _done_mark(task: ShardTask) -> Path:
    return task.staging / f"shard-{task.number:05d}.json"


def write_shard(task: ShardTask) -> None:
    """Write one shard of each split that has rows, and the index; then delete the staging files."""
    entries = []
    index_name = task.out / f"index-{task.number:05d}.parquet"
    with (
        atomic_file(index_name) as index_file,
        pq.ParquetWriter(index_file, SHARD_INDEX_SCHEMA, compression="zstd") as index,
    ):
        for side, name in enumerate(SPLITS):
            masks = [kept & (held == bool(side)) for kept, held in zip(task.kept, task.held_out, strict=True)]
            file = task.out / f"{name}-{task.number:05d}.parquet"
            if not (rows := sum(int(mask.sum()) for mask in masks)):
                continue
            _write_split(task, masks, file, task.first_index[side])
            _write_index(task, masks, index, name, file.name)
            entries.append(_entry(file, name, rows))
    write_json(_done_mark(task), entries)
    for unit in task.units:
        unit_path(task.staging, unit, "rows.parquet").unlink(missing_ok=True)


def _entry(file: Path, split: str, rows: int) -> dict[str, Any]:
    return {"file": file.name, "split": split, "rows": rows, "bytes": file.stat().st_size, "sha256": sha256_of(file)}


def _write_split(task: ShardTask, masks: list[np.ndarray[Any, Any]], file: Path, first: int) -> None:
    number = first
    with atomic_file(file) as temporary, pq.ParquetWriter(temporary, VERL_SCHEMA, compression="zstd") as writer:
        for unit, mask in zip(task.units, masks, strict=True):
            for batch in _batches(unit_path(task.staging, unit, "rows.parquet"), mask):
                writer.write_table(_numbered(pa.Table.from_batches([batch]), number))
                number += len(batch)


def _batches(path: Path, mask: np.ndarray[Any, Any]) -> Iterator[pa.RecordBatch]:
    row = 0
    for batch in shard_batches(path):
        wanted = batch.filter(pa.array(mask[row : row + len(batch)]))
        row += len(batch)
        if len(wanted):
            yield wanted


def _numbered(table: pa.Table, first: int) -> pa.Table:
    """Set `extra_info.index`, the row's number within its split."""
    info = table["extra_info"].combine_chunks()
    fields = [info.field(i) for i in range(info.type.num_fields)]
    names = [field.name for field in info.type]
    fields[names.index("index")] = pa.array(range(first, first + len(table)), pa.int64())
    position = table.schema.get_field_index("extra_info")
    return table.set_column(position, VERL_SCHEMA.field("extra_info"), pa.StructArray.from_arrays(fields, names))


def _write_index(
    task: ShardTask, masks: list[np.ndarray[Any, Any]], index: pq.ParquetWriter, split: str, shard: str
) -> None:
    position = 0
    for unit, mask in zip(task.units, masks, strict=True):
        table = pq.read_table(unit_path(task.staging, unit, "index.parquet")).filter(pa.array(mask))
        rows = len(table)
        table = table.append_column("split", pa.array([split] * rows, pa.string()))
        table = table.append_column("shard", pa.array([shard] * rows, pa.string()))
        table = table.append_column("position", pc.cast(pa.array(range(position, position + rows)), pa.int64()))
        index.write_table(table.cast(SHARD_INDEX_SCHEMA))
        position += rows
