"""Filters and sorts a run's samples, keeping only those in memory that are shown."""

from __future__ import annotations

import difflib
import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import ModalityTag, parse_reference
from medix_r1.rewards.base import NO_MODALITY
from medix_r1.runs.folder import RunFolder, read_lines

SPLITS = ("train", "validation")
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A query for samples.

    Attributes:
        split: `train` or `validation`.
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
    found = (line for line in lines(run, query.split, query.step) if _wanted(line, query))
    if query.sort is None:
        return [line for line, _ in zip(found, range(query.limit), strict=False)]
    keyed = ((value, index, line) for index, line in enumerate(found) if (value := _key(line, query.sort)) is not None)
    choose = heapq.nsmallest if query.smallest else heapq.nlargest
    return [line for _, _, line in choose(query.limit, keyed, key=lambda item: (item[0], -item[1]))]


def lines(run: Path, split: str, step: int | None = None) -> Iterator[Line]:
    """Yield every sample of a split, newest step first, each with its `step`."""
    for number, path in sorted(step_files(run, split).items(), reverse=True):
        if step is None or number == step:
            for line in read_lines(path):
                yield {"step": number, **line}


def step_files(run: Path, split: str) -> dict[int, Path]:
    """The files of a split, by step."""
    return {int(path.stem): path for path in (RunFolder(run).samples / split).glob("*.jsonl") if path.stem.isdigit()}


def _check(run: Path, query: Query) -> None:
    problems = []
    if query.split not in SPLITS:
        problems.append(Problem("--split", "not-a-choice", f"'{query.split}' is neither train nor validation"))
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
    if query.modality is not None and _modality(line) != query.modality.upper():
        return False
    if query.source is not None and line["source"] != query.source:
        return False
    if query.part is None:
        return True
    value = value_of(line, query.part)
    if value is None:
        return False
    return (query.below is None or value < query.below) and (query.above is None or value > query.above)


def _modality(line: Line) -> str:
    return (parse_reference(line["reference"]).modality or NO_MODALITY).upper()


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
