"""The first pass: each unit of work becomes checked rows, an index and rejects in the staging folder.

`unit-N.json` is written last, after the unit's other files; a unit without it is done again.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from medix_r1.data.check import MeasuredRow, RowRules, check_row
from medix_r1.data.files import read_json, write_json
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.row import INDEX_SCHEMA, VERL_SCHEMA, RawRow, RowRejected, to_index, to_verl
from medix_r1.data.sources.base import Source, Unit
from medix_r1.errors import DataError
from medix_r1.host.files import atomic_file

_FLUSH_BYTES = 16 * 2**20  # of rows buffered in memory
_SHOWN = 200  # characters of a rejected question
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class UnitJob:
    """Everything a worker process needs; pickled once for each."""

    source: Source
    rules: RowRules
    backbone: Path
    min_pixels: int | None
    max_pixels: int | None
    folder: Path
    strict: bool = False


@dataclass(frozen=True, slots=True)
class UnitResult:
    """Counts of one unit; rows_in = rows_out + sum(rejected). `bytes` is the size of its staged rows."""

    number: int
    rows_in: int
    rows_out: int
    shrunk: int
    bytes: int
    rejected: dict[str, int] = field(default_factory=dict)


def finished_units(folder: Path) -> dict[int, UnitResult]:
    """Results of the units that are done."""
    results = (UnitResult(**read_json(path)) for path in sorted(folder.glob("unit-*.json")))
    return {result.number: result for result in results}


def unit_path(folder: Path, number: int, kind: str) -> Path:
    """Path of one staging file; `kind` is rows.parquet, index.parquet, rejects.jsonl or json."""
    return folder / f"unit-{number:06d}.{kind}"


def stage_unit(job: UnitJob, counter: PromptCounter, unit: Unit) -> UnitResult:
    """Check all rows of a unit and write its staging files.

    Raises:
        DataError: a row is rejected and `strict` is set; nothing of the unit is written then.
    """
    rows_in, rows_out, shrunk, rejected = 0, 0, 0, Counter[str]()
    path = unit_path(job.folder, unit.number, "rows.parquet")
    with (
        atomic_file(path) as rows_file,
        atomic_file(unit_path(job.folder, unit.number, "index.parquet")) as index_file,
        atomic_file(unit_path(job.folder, unit.number, "rejects.jsonl")) as rejects_file,
        BatchedWriter(rows_file, VERL_SCHEMA) as rows,
        BatchedWriter(index_file, INDEX_SCHEMA) as index,
        rejects_file.open("w", encoding="utf-8") as rejects,
    ):
        for raw in job.source.rows(unit):
            rows_in += 1
            try:
                measured = check_row(raw, job.rules, counter)
            except RowRejected as problem:
                if job.strict:
                    raise DataError(
                        f"{raw.where} is rejected ({problem}); leave --strict out to go on", code="row-rejected"
                    ) from problem
                rejected[problem.reason.value] += 1
                rejects.write(json.dumps(_reject(raw, problem), ensure_ascii=True) + "\n")
                continue
            _write(measured, job, rows, index)
            rows_out += 1
            shrunk += any(image.shrunk for image in measured.row.images)
    result = UnitResult(unit.number, rows_in, rows_out, shrunk, path.stat().st_size, dict(rejected))
    write_json(unit_path(job.folder, unit.number, "json"), asdict(result))
    return result


def _write(measured: MeasuredRow, job: UnitJob, rows: BatchedWriter, index: BatchedWriter) -> None:
    size = sum(len(image.content) for image in measured.row.images)
    rows.add(to_verl(measured.row, measured.prompt, job.min_pixels, job.max_pixels), size)
    index.add(to_index(measured.row, measured.length), 0)


def _reject(raw: RawRow, problem: RowRejected) -> dict[str, str]:
    return {
        "row": raw.where,
        "id": str(raw.fields.get("id") or "")[:_SHOWN],
        "reason": problem.reason.value,
        "detail": problem.detail,
        "question": str(raw.fields.get("question") or "")[:_SHOWN],
    }


class BatchedWriter:
    """Writes rows to a parquet file, buffering a few megabytes, so that memory stays bounded."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema, self._waiting, self._size = schema, [], 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    _waiting: list[dict[str, Any]]

    def add(self, row: dict[str, Any], size: int) -> None:
        """Add one row; `size` is the bytes of its images."""
        self._waiting.append(row)
        self._size += size + 1000
        if self._size >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting, self._size = [], 0

    def __enter__(self) -> BatchedWriter:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


_JOB: UnitJob | None = None
_COUNTER: PromptCounter | None = None


def _start_worker(job: UnitJob) -> None:
    global _JOB, _COUNTER
    end_with_parent()
    _JOB, _COUNTER = job, PromptCounter(job.backbone, job.min_pixels, job.max_pixels)


def end_with_parent() -> None:
    """Make this worker exit when its parent is killed, instead of waiting for work for ever."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(unit: Unit) -> UnitResult:
    assert _JOB is not None
    assert _COUNTER is not None
    return stage_unit(_JOB, _COUNTER, unit)


def stage(job: UnitJob, units: list[Unit], workers: int, advance: Callable[[UnitResult], None]) -> None:
    """Stage units with several processes and call `advance` with each result.

    Raises:
        DataError: a unit failed, or a worker was killed (mostly out of memory).
    """
    if workers == 1 or len(units) <= 1:
        counter = PromptCounter(job.backbone, job.min_pixels, job.max_pixels)
        for unit in units:
            advance(stage_unit(job, counter, unit))
        return
    # spawn, because forking a process with threads (the progress bar) may deadlock
    pool = ProcessPoolExecutor(
        min(workers, len(units)), get_context("spawn"), initializer=_start_worker, initargs=(job,)
    )
    for result in run_all(pool, _work, units, workers):
        advance(result)


def run_all(
    pool: ProcessPoolExecutor, work: Callable[[Task], Result], tasks: list[Task], workers: int
) -> Iterator[Result]:
    """Yield results as they complete, with a bounded number of submitted tasks; the first error shuts down the pool.

    Raises:
        DataError: a worker died.
    """
    queue = iter(tasks)
    running: set[Future[Result]] = set()
    try:
        for task in queue:
            running.add(pool.submit(work, task))
            if len(running) > 2 * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was ended from outside (out of memory?); the same command goes on", code="worker-ended"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
