"""The index beside a file of samples: its numbers and names in columns, and where each line begins.

`samples/train/000012.parquet` belongs to `000012.jsonl`. Sorting and filtering a run reads columns alone, and then the
few lines that are shown. An index is read only if it fits its file; runs of older code have none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from medix_r1.grammar import parse_reference
from medix_r1.host.files import atomic_file
from medix_r1.rewards.base import NO_MODALITY

_SIZE = b"bytes of the samples"
_PART = "part."
_TEXTS = ("key", "uid", "row_id", "source")
_FLAGS = ("masked", "filtered", "cut")


def path_of(samples: Path) -> Path:
    """The index of a file of samples."""
    return samples.with_suffix(".parquet")


def column(part: str) -> str:
    """The column of a part of the reward; `overall` has its own name."""
    return part if part == "overall" else f"{_PART}{part}"


def modality_of(reference: str) -> str:
    """The modality of a reference in capitals, by which samples are looked for; `NONE` without one."""
    return (parse_reference(reference).modality or NO_MODALITY).upper()


def write(samples: Path, lines: Sequence[Mapping[str, Any]], lengths: Sequence[int]) -> None:
    """Write the index of a file of samples, atomically.

    Args:
        samples: the file.
        lines: its lines.
        lengths: bytes of each line, line breaks included.
    """
    names = dict.fromkeys(name for line in lines for name in line["parts"])
    columns: dict[str, Any] = {"begins": pyarrow.array(itertools.accumulate(lengths[:-1], initial=0), pyarrow.int64())}
    if not lines:
        columns = {"begins": pyarrow.array([], pyarrow.int64())}
    columns |= {name: pyarrow.array([line[name] for line in lines], pyarrow.string()) for name in _TEXTS}
    columns["modality"] = pyarrow.array([modality_of(line["reference"]) for line in lines], pyarrow.string())
    columns |= {name: pyarrow.array([bool(line.get(name)) for line in lines], pyarrow.bool_()) for name in _FLAGS}
    columns["tokens"] = pyarrow.array([line["tokens"] for line in lines], pyarrow.int64())
    for name in ("overall", "advantage"):
        columns[name] = _numbers([line.get(name) for line in lines])
    columns |= {column(name): _numbers([line["parts"].get(name) for line in lines]) for name in names}
    table = pyarrow.table(columns).replace_schema_metadata({_SIZE: str(sum(lengths)).encode()})
    with atomic_file(path_of(samples)) as temporary:
        parquet.write_table(table, temporary)


def _numbers(values: Sequence[float | None]) -> pyarrow.Array:
    finite = [None if value is None or not math.isfinite(value) else float(value) for value in values]
    return pyarrow.array(finite, pyarrow.float64())


def read(samples: Path, columns: Collection[str] | None = None) -> pyarrow.Table | None:
    """The index of a file of samples; None if there is none, or one that does not belong to it as it is now.

    Args:
        samples: the file.
        columns: those to read; one that the index does not have is left out. None reads all.
    """
    path = path_of(samples)
    try:
        with parquet.ParquetFile(path) as file:
            size = (file.schema_arrow.metadata or {}).get(_SIZE)
            if size is None or int(size) != samples.stat().st_size:
                return None
            names = file.schema_arrow.names
            return file.read([name for name in names if columns is None or name in columns], use_threads=False)
    except (OSError, ValueError, pyarrow.ArrowException):  # none, torn, or another program's
        return None
