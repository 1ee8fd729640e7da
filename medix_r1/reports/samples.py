"""Filters and sorts a run's samples, keeping only those in memory that are shown.

A file with an index (runs/samples_index.py) is searched by its columns, and only the lines found are read. A file of
older code is read whole.
"""

from __future__ import annotations

import difflib
import functools
import heapq
import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow
from pyarrow import compute

from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import ModalityTag
from medix_r1.rewards.base import NO_MODALITY
from medix_r1.runs import samples_index
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.runs.samples_folder import SPLITS
from medix_r1.runs.scored_rollout import with_think

Line = dict[str, Any]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Query:
    """A query for samples.

    Attributes:
        split: one of `SPLITS`.
        step: one step; None takes all.
        part: a part of the reward (or `overall`) that `below` and `above` compare.
        below, above: bounds of `part`, both exclusive; a sample without a value for the part is left out.
        modality: the reference's tag, any case.
        source: the row's data source.
        sort: a part, or a difference of two such as `embed-llm`; largest first.
        smallest: sort smallest first.
        limit: maximal number of samples.
    """

    split: str = "train"
    step: int | None = None
    part: str | None = None
    below: float | None = None
    above: float | None = None
    modality: str | None = None
    source: str | None = None
    sort: str | None = None
    smallest: bool = False
    limit: int = 10


def find(run: Path, query: Query) -> list[Line]:
    """Return the samples that match a query; without `sort`, those of the newest step first.

    Raises:
        ConfigError: all problems of the query, or the run has no samples.
    """
    _check(run, query)
    files = [path for step, path in _newest_first(run, query.split) if query.step in (None, step)]
    found = (match for number, path in enumerate(files) for match in _matches(path, number, query))
    if query.sort is None:
        chosen = list(itertools.islice(found, query.limit))
    else:
        choose = heapq.nsmallest if query.smallest else heapq.nlargest
        chosen = choose(query.limit, found, key=lambda match: (match.value, -match.file, -match.number))
    return [match.line() for match in chosen]


@dataclass(frozen=True, slots=True)
class _Match:
    """A sample that matches a query: the value that it is sorted by, and where it stands."""

    value: float
    file: int
    number: int
    line: Callable[[], Line]


def _matches(path: Path, file: int, query: Query) -> Iterator[_Match]:
    """The samples of a file that match, in its order."""
    step, index = int(path.stem), samples_index.read(path, _columns(query))
    if index is None:
        for number, line in enumerate(_lines_of(path, step)):
            value = 0.0 if query.sort is None else _key(line, query.sort)
            if value is not None and _wanted(line, query):
                yield _Match(value, file, number, functools.partial(dict, line))
        return
    values, wanted = _sort_values(index, query.sort), _wanted_rows(index, query)
    begins, keys = index["begins"].to_numpy(), index["key"]
    for number in _first_rows(np.flatnonzero(wanted & ~np.isnan(values)), values, query):
        read = functools.partial(_line_at, path, step, int(begins[number]), keys[int(number)].as_py())
        yield _Match(float(values[number]), file, int(number), read)


def _columns(query: Query) -> set[str]:
    """The columns of an index that a query needs."""
    parts = [*(query.sort.split("-") if query.sort else []), *([query.part] if query.part else [])]
    return {"begins", "key", "modality", "source", *map(samples_index.column, parts)}


def _first_rows(rows: Rows, values: Numbers, query: Query) -> Rows:
    """Those rows of a file that may be among the first of all files; without a sort, all of them in order."""
    if query.sort is None:
        return rows
    if query.smallest:
        rows = rows[::-1]  # of equal values, the last comes first
    order = np.argsort(values[rows] if query.smallest else -values[rows], kind="stable")
    return rows[order[: query.limit]]


def _line_at(path: Path, step: int, begins: int, key: str) -> Line:
    with path.open("rb") as file:
        file.seek(begins)
        line: Line = json.loads(file.readline())
    if line["key"] != key:
        says = "does not belong to the samples beside it; delete it, and the samples are read without it"
        raise ConfigError.of(str(samples_index.path_of(path)), "stale-index", says)
    return {"step": step, **with_think(line)}


def _numbers(index: pyarrow.Table, part: str) -> Numbers:
    """The values of a part, NaN where there is none."""
    name = samples_index.column(part)
    if name not in index.column_names:
        return np.full(len(index), np.nan)
    numbers: Numbers = index[name].to_numpy()
    return numbers


def _sort_values(index: pyarrow.Table, sort: str | None) -> Numbers:
    if sort is None:
        return np.zeros(len(index))
    first, *rest = (_numbers(index, name) for name in sort.split("-"))
    return functools.reduce(np.subtract, rest, first)


def _wanted_rows(index: pyarrow.Table, query: Query) -> np.ndarray[Any, np.dtype[np.bool_]]:
    wanted = np.ones(len(index), dtype=bool)
    if query.modality is not None:
        wanted &= _equal(index["modality"], query.modality.upper())
    if query.source is not None:
        wanted &= _equal(index["source"], query.source)
    if query.part is not None:
        values = _numbers(index, query.part)
        wanted &= ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            wanted &= True if query.below is None else values < query.below
            wanted &= True if query.above is None else values > query.above
    return wanted


def _equal(column: pyarrow.ChunkedArray, text: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    equal: np.ndarray[Any, np.dtype[np.bool_]] = compute.equal(column, text).to_numpy().astype(bool)
    return equal


def lines(run: Path, split: str, step: int | None = None) -> Iterator[Line]:
    """Yield every sample of a split, newest step first, each with its `step`."""
    for number, path in _newest_first(run, split):
        if step is None or number == step:
            yield from _lines_of(path, number)


def _lines_of(path: Path, step: int) -> Iterator[Line]:
    for line in read_lines(path):
        yield {"step": step, **with_think(line)}


def _newest_first(run: Path, split: str) -> list[tuple[int, Path]]:
    return sorted(step_files(run, split).items(), reverse=True)


def step_files(run: Path, split: str) -> dict[int, Path]:
    """The files of a split, by step."""
    return {int(path.stem): path for path in (RunFolder(run).samples / split).glob("*.jsonl") if path.stem.isdigit()}


def _check(run: Path, query: Query) -> None:
    problems = []
    if query.split not in SPLITS:
        problems.append(Problem("--split", "not-a-choice", f"'{query.split}' is none of {', '.join(SPLITS)}"))
    elif not step_files(run, query.split):
        problems.append(
            Problem(
                str(run), "no-samples", f"no samples of {query.split} there; name the folder of a run that has trained"
            )
        )
    elif query.step is not None and query.step not in (known := step_files(run, query.split)):
        problems.append(
            Problem(
                "--step", "no-such-step", f"{query.step} has no samples; there are steps {min(known)} to {max(known)}"
            )
        )
    if (query.below, query.above) != (None, None) and query.part is None:
        problems.append(Problem("--below, --above", "needs-a-part", "say of which part with --part"))
    problems += _unknown_modality(query.modality)
    if query.limit < 1:
        problems.append(Problem("--limit", "out-of-range", f"{query.limit} shows nothing"))
    if not problems:
        first = next(lines(run, query.split, query.step))
        names = [query.part] if query.part else []
        names += query.sort.split("-") if query.sort else []
        known_parts = ["overall", *first["parts"]]
        problems += [
            Problem(name, "no-such-part", f"no such part; known: {', '.join(known_parts)}")
            for name in names
            if name not in known_parts
        ]
    if problems:
        raise ConfigError(problems)


def _unknown_modality(wanted: str | None) -> list[Problem]:
    tags = [*ModalityTag, NO_MODALITY.upper()]
    if wanted is None or wanted.upper() in tags:
        return []
    near = difflib.get_close_matches(wanted.upper(), tags, n=1, cutoff=0.6)
    guess = f"did you mean {near[0]}? " if near else ""
    says = f"{wanted} is no modality; {guess}known: {', '.join(ModalityTag)}, {NO_MODALITY}"
    return [Problem("--modality", "no-such-modality", says)]


def _wanted(line: Line, query: Query) -> bool:
    if query.modality is not None and samples_index.modality_of(line["reference"]) != query.modality.upper():
        return False
    if query.source is not None and line["source"] != query.source:
        return False
    if query.part is None:
        return True
    value = value_of(line, query.part)
    if value is None:
        return False
    return (query.below is None or value < query.below) and (query.above is None or value > query.above)


def value_of(line: Line, part: str) -> float | None:
    """The value of a part, or of the whole reward for `overall`; None without a finite value."""
    value = line["overall"] if part == "overall" else line["parts"].get(part)
    return None if value is None or not math.isfinite(value) else float(value)


def _key(line: Line, sort: str) -> float | None:
    values = [value_of(line, name) for name in sort.split("-")]
    if any(value is None for value in values):
        return None
    first, *rest = [value for value in values if value is not None]
    return first - sum(rest)
