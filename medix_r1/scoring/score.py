"""`medix-r1 reward score`: scores a file of replies, with every part of the reward and its reason.

Rows are streamed with bounded concurrency and written in the order of the input. A row that could not be scored is
written as unscored; the same command scores only rows without a score. For a reward with signals of whole groups, the
rows of a group are scored at once, and again if one of them has no score; they are written where the last one stands.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medix_r1.rewards.base import Sample
from medix_r1.rewards.composite import NOTHING_APPLIES, RewardBreakdown
from medix_r1.rewards.overlong import Overlong
from medix_r1.scoring import rows as row_file
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.groups import group_sizes, seated, whole_groups
from medix_r1.scoring.output import Output, read_output
from medix_r1.scoring.rows import Line, Row, RowCounts

MAX_LISTED = 10


async def score(
    ready: ReadyReward,
    source: Path,
    found: RowCounts,
    output: Output,
    *,
    in_flight: int,
    advance: Callable[[int], None],
) -> None:
    """Score every row of `source` that has no score in `output`.

    It stops early when a server is down, because all further rows would time out. The same command resumes.

    Args:
        ready: the reward.
        source: a file that `rows.check` has accepted.
        found: the counts that `rows.check` returned.
        output: receives the scores.
        in_flight: rows scored concurrently.
        advance: called with 1 after each row.
    """
    window: deque[tuple[Line[Row] | None, asyncio.Task[RewardBreakdown]]] = deque()  # None: has a score already
    whole = bool(ready.composite.group_signals)
    pending = _pending_groups(source, found, output) if whole else _pending(source, found, output)
    try:
        while True:
            while len(window) < in_flight and (wanted := next(pending, None)) is not None:
                samples = [_sample(ready, line, source.parent) for line, _ in wanted]
                if whole:
                    samples = seated(samples, wanted[0][0].row.group_name)
                for (line, is_pending), sample in zip(wanted, samples, strict=True):
                    task = asyncio.create_task(ready.composite.score(sample))
                    window.append((line if is_pending else None, task))
            if not window:
                return
            waiting, task = window.popleft()
            breakdown = await task
            if waiting is None:
                continue
            output.write(record(ready, waiting, breakdown))
            advance(1)
            if breakdown.outage:
                return
    finally:
        for _, task in window:
            task.cancel()
        await asyncio.gather(*(task for _, task in window), return_exceptions=True)
        output.sync()


def _sample(ready: ReadyReward, line: Line[Row], folder: Path) -> Sample:
    return line.row.sample(ready.reader, line.row.images(folder) if ready.composite.wants_images else ())


def _pending(source: Path, found: RowCounts, output: Output) -> Iterator[list[tuple[Line[Row], bool]]]:
    """Each row without a score."""
    yield from ([(line, True)] for line, is_pending in _marked(source, found, output) if is_pending)


def _pending_groups(source: Path, found: RowCounts, output: Output) -> Iterator[list[tuple[Line[Row], bool]]]:
    """Each group with a row that has no score, whole; the rows are marked that have none."""
    sizes, pending = group_sizes(row_file.read(source, Row)), set[int]()

    def marked() -> Iterator[Line[Row]]:
        for line, is_pending in _marked(source, found, output):
            if is_pending:
                pending.add(line.number)
            yield line

    for group in whole_groups(marked(), sizes):
        if any(line.number in pending for line in group):
            yield [(line, line.number in pending) for line in group]
        pending.difference_update(line.number for line in group)


def _marked(source: Path, found: RowCounts, output: Output) -> Iterator[tuple[Line[Row], bool]]:
    """All rows, and whether each needs a score. Duplicate rows are counted: two equal rows need two scores."""
    seen: Counter[int] = Counter()
    for line in row_file.read(source, Row):
        content = line.row.content
        if content in found.repeated:
            seen[content] += 1
        yield line, output.times_done(content) < (seen[content] or 1)


def record(ready: ReadyReward, line: Line[Row], breakdown: RewardBreakdown) -> dict[str, Any]:
    """One line of the output: the row, so that the output can be scored again, and its reward with all parts."""
    row, parsed = line.row, line.row.sample(ready.reader).completion
    overall = Overlong(ready.overlong).reward(breakdown.total, cut=row.cut, tokens=0)
    given = row.model_dump(exclude_none=True) | {"id": row.name}
    return given | {
        "content": f"{row.content:016x}",
        "line": line.number,
        "overall": overall,
        "parts": {name: part.value for name, part in breakdown.parts.items()},
        "numbers": breakdown.numbers,
        "weights": dict(breakdown.weights),
        "reasons": {name: part.reason for name, part in breakdown.parts.items()},
        "parsed": {
            "modality": parsed.modality,
            "think": parsed.think,
            "answer": parsed.answer,
            "problems": list(parsed.problems),
        },
        "gate_shut": breakdown.gate_shut,
        "failure": breakdown.failure,
    }


@dataclass
class Column:
    """Running sums of one part; `values` is the number of rows that have a value."""

    values: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.values, self.total, self.squares = self.values + 1, self.total + value, self.squares + value * value

    @property
    def mean(self) -> float:
        return self.total / self.values

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return math.sqrt(max(0.0, self.squares / self.values - self.mean**2))


@dataclass
class Summary:
    """Counts and figures of an output."""

    rows: int = 0
    masked: int = 0  # cut at the length limit, and overlong=mask
    unscored: int = 0
    inapplicable: int = 0  # rows to which no signal with weight applies; no failure, and not asked again for a score
    columns: dict[str, Column] = field(default_factory=lambda: defaultdict(Column))
    listed: list[tuple[int, str, str]] = field(default_factory=list)  # line, id, failure of the first unscored rows


def summarise(path: Path) -> Summary:
    """Summarise a whole output, including rows that earlier commands scored."""
    summary = Summary()
    for _, row in read_output(path):
        if row is None:
            continue
        summary.rows += 1
        if row["failure"] is not None:
            if row["failure"] == NOTHING_APPLIES:
                summary.inapplicable += 1
                continue
            summary.unscored += 1
            if len(summary.listed) < MAX_LISTED:
                summary.listed.append((row["line"], str(row["id"]), row["failure"]))
            continue
        summary.masked += row["overall"] is None
        numbers = row.get("numbers", {})  # not in an output of an older version
        for name, value in {"overall": row["overall"], **row["parts"], **numbers}.items():
            if value is not None:
                summary.columns[name].add(value)
            else:
                _ = summary.columns[name]  # a part without any value has a line in the table
    return summary
