"""Reads filled blind sheets: how often each result was preferred, with a confidence interval."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from medix_r1.agreement import agreement
from medix_r1.errors import DataError, Problem
from medix_r1.evaluation.results.sheet import Sheet, between, flat, number, p_value
from medix_r1.evaluation.results.statistics import Estimate, share

_WORDS = {"left": "left", "l": "left", "right": "right", "r": "right", "tie": "tie", "t": "tie", "equal": "tie"}


@dataclass(frozen=True, slots=True)
class Preference:
    """What one expert's sheet says.

    Attributes:
        name: the sheet's file.
        first, second, ties, open: pairs in which the first, the second or none was preferred; pairs left empty.
        rate: win rate of `first` among pairs with a preference, ties excluded.
        p: of an exact two-sided sign test against 1/2; None without a preference.
        left: share of preferences for the left side; far from 1/2 it means position bias.
        by_task: (first, second, ties) of each task.
        chosen: winner by pair name: first, second or tie.
    """

    name: str
    first: int
    second: int
    ties: int
    open: int
    rate: Estimate
    p: float | None
    left: Estimate
    by_task: Mapping[str, tuple[int, int, int]]
    chosen: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BlindResult:
    """All sheets of one key: names of the two models, and one preference for each sheet."""

    first: str
    second: str
    sheets: tuple[Preference, ...]


def read(sheets: Sequence[Path], key: Path) -> BlindResult:
    """Read filled sheets with their key.

    Raises:
        DataError: all problems together: a sheet of another key, unknown or repeated pairs, unreadable preferences.
    """
    try:
        content = json.loads(key.read_text(encoding="utf-8"))
        pairs, names = content["pairs"], [str(content[side]["model"]) for side in ("first", "second")]
        lefts = {name: str(pair["left"]) for name, pair in pairs.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{key}: not a key of `medix-r1 eval blind` ({error})", code="not-a-key") from error
    problems: list[Problem] = []
    said = {path: _preferences(path, lefts, problems) for path in sheets}
    if problems:
        raise DataError.listing(problems[:20], code="sheet-refused")
    tasks = {name: str(pair["task"]) for name, pair in pairs.items()}
    found = tuple(_preference(path.name, sides, lefts, tasks) for path, sides in said.items())
    return BlindResult(names[0], names[1], found)


def sheet(found: BlindResult) -> Sheet:
    """The win rates as a table."""
    header = ["sheet", "pairs", "first", "second", "ties", "empty", "win rate of first", "95 % interval", "p"]
    rows = [_cells(one) for one in found.sheets]
    for one in found.sheets:
        rows += [_task_cells(one, task) for task in sorted(one.by_task) if len(one.by_task) > 1]
    return Sheet(f"{found.first} (first) against {found.second} (second)", header, rows, list(_notes(found)))


def flat_rows(found: BlindResult) -> list[dict[str, Any]]:
    """The win rates as dictionaries, for JSON and CSV."""
    return [
        {
            "sheet": one.name,
            "first": one.first,
            "second": one.second,
            "ties": one.ties,
            "empty": one.open,
            **flat(one.rate, "win_rate_of_first"),
            "p": one.p,
            **flat(one.left, "left"),
        }
        for one in found.sheets
    ]


def _preferences(path: Path, known: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    """The preferred side by pair name: left, right or tie; empty cells are left out."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for number_, row in enumerate(_rows(path), start=2):
        where = f"{path}: row {number_}"
        name, word = _clean(row.get("pair")), _clean(row.get("preference")).lower()
        if name not in known:
            problems.append(
                Problem(where, "no-such-pair", f"pair {name!r} is not in the key; is it that of another sheet?")
            )
        elif name in seen:
            problems.append(Problem(where, "repeated-pair", f"pair {name} occurs twice"))
        elif word and word not in _WORDS:
            problems.append(Problem(where, "not-a-preference", f"preference {word!r} is not left, right or tie"))
        elif word:
            found[name] = _WORDS[word]
        seen.add(name)
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV as spreadsheets save it: comma, semicolon or tab, any encoding (only ASCII cells are used)."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})", code="not-readable") from error
    for delimiter in (",", ";", "\t"):
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            if {"pair", "preference"} <= set(reader.fieldnames or ()):
                return list(reader)
        except csv.Error as error:
            raise DataError(f"{path}: not a CSV file ({error})", code="not-csv") from error
    raise DataError(f"{path}: a filled sheet.csv has the columns pair and preference", code="no-such-column")


def _clean(cell: Any) -> str:
    return str(cell or "").strip().lstrip("'").strip()


def _preference(name: str, sides: Mapping[str, str], lefts: Mapping[str, str], tasks: Mapping[str, str]) -> Preference:
    from scipy.stats import binomtest

    chosen = {pair: _winner(side, lefts[pair]) for pair, side in sides.items()}
    counts = Counter(chosen.values())
    decided = counts["first"] + counts["second"]
    by_task: dict[str, Counter[str]] = {}
    for pair, winner in chosen.items():
        by_task.setdefault(tasks[pair], Counter())[winner] += 1
    return Preference(
        name=name,
        first=counts["first"],
        second=counts["second"],
        ties=counts["tie"],
        open=len(lefts) - len(chosen),
        rate=share(counts["first"], decided),
        p=float(binomtest(counts["first"], decided, 0.5).pvalue) if decided else None,
        left=share(sum(side == "left" for side in sides.values()), decided),
        by_task={task: (c["first"], c["second"], c["tie"]) for task, c in by_task.items()},
        chosen=chosen,
    )


def _winner(side: str, left: str) -> str:
    if side == "tie":
        return "tie"
    other = "second" if left == "first" else "first"
    return left if side == "left" else other


def _cells(one: Preference) -> list[str]:
    pairs = one.first + one.second + one.ties
    counts = [str(count) for count in (pairs, one.first, one.second, one.ties, one.open)]
    return [one.name, *counts, number(one.rate.value), between(one.rate.interval), p_value(one.p)]


def _task_cells(one: Preference, task: str) -> list[str]:
    first, second, ties = one.by_task[task]
    rate = share(first, first + second)
    counts = [str(first + second + ties), str(first), str(second), str(ties)]
    return [f"{one.name}: {task}", *counts, "", number(rate.value), between(rate.interval), ""]


def _notes(found: BlindResult) -> Iterable[str]:
    yield "The win rate is over pairs with a preference, without ties. Interval: Wilson; p: exact sign test."
    for one in found.sheets:
        interval = one.left.interval
        if interval and not interval.low <= 0.5 <= interval.high:
            yield f"{one.name}: the left side was preferred in {number(one.left.value)}, which chance does not explain."
    for one, other in combinations(found.sheets, 2):
        both = sorted(one.chosen.keys() & other.chosen.keys())
        if both:
            same = agreement([one.chosen[pair] for pair in both], [other.chosen[pair] for pair in both])
            kappa = f"kappa {number(same.kappa)} {between(same.kappa_interval)}"
            yield f"{one.name} and {other.name} agree on {same.share:.0%} of {len(both)} pairs, {kappa}."
