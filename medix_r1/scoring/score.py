"""`medix-r1 reward score`: a file of replies in, every part of their reward and every reason out.

Rows stream: a bounded number is being scored at any time, and they are written in the order of the input. What could
not be scored stands in the output as unscored and is owed; the same command scores what is owed and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.scoring import rows as row_file
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.output import Output, scored
from medix_r1.scoring.rows import Found, Line, Row

MAX_LISTED = 10


async def score(
    ready: ReadyReward, source: Path, found: Found, output: Output, *, in_flight: int, advance: Callable[[int], None]
) -> None:
    """Score every row of `source` that `output` does not have.

    Stops early when a server is down, because every further row would wait for it in vain: what is then missing is
    owed like an unscored row.

    Args:
        ready: the reward.
        source: a file that `rows.check` found sound.
        found: what it found.
        output: where the scores go.
        in_flight: rows that are being scored at any time.
        advance: told after each row how many are done now.
    """
    window: deque[tuple[Line[Row], asyncio.Task[RewardBreakdown]]] = deque()
    owed = _owed(source, found, output)
    try:
        while True:
            for line in itertools.islice(owed, in_flight - len(window)):
                images = line.row.images(source.parent) if ready.composite.wants_images else ()
                sample = line.row.sample(ready.reader, images)
                window.append((line, asyncio.create_task(ready.composite.score(sample))))
            if not window:
                return
            line, task = window.popleft()
            breakdown = await task
            output.write(record(ready, line, breakdown))
            advance(1)
            if breakdown.outage:
                return
    finally:
        for _, task in window:
            task.cancel()
        await asyncio.gather(*(task for _, task in window), return_exceptions=True)
        output.sync()


def _owed(source: Path, found: Found, output: Output) -> Iterator[Line[Row]]:
    """Rows without a score. Rows of equal content are counted: two such rows need two scores."""
    seen: Counter[int] = Counter()
    for line in row_file.read(source, Row):
        content = line.row.content
        if content in found.repeated:
            seen[content] += 1
        if output.times_done(content) < (seen[content] or 1):
            yield line


def record(ready: ReadyReward, line: Line[Row], breakdown: RewardBreakdown) -> dict[str, Any]:
    """One line of the output: the row itself, so that it can be scored again, and all that its reward is made of."""
    row, parsed = line.row, line.row.sample(ready.reader).completion
    overall = breakdown.total
    if row.cut and overall is not None:  # as in training: configs/reward/composite.yaml, overlong
        overall = {"reward": overall, "zero": 0.0, "mask": None}[ready.overlong]
    given = row.model_dump(exclude_none=True) | {"id": row.name}
    return given | {
        "content": f"{row.content:016x}",
        "line": line.number,
        "overall": overall,
        "parts": {name: part.value for name, part in breakdown.parts.items()},
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
    """Running figures of one part. `values` counts the rows that have one."""

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
        """Population deviation."""
        return math.sqrt(max(0.0, self.squares / self.values - self.mean**2))


@dataclass
class Summary:
    """What an output holds, read back from it line by line."""

    rows: int = 0
    masked: int = 0  # cut at the length limit, and overlong=mask
    unscored: int = 0
    columns: dict[str, Column] = field(default_factory=lambda: defaultdict(Column))
    listed: list[tuple[int, str, str]] = field(default_factory=list)  # line, id, failure of the first unscored rows


def summarise(path: Path) -> Summary:
    """Read an output from its start, so that the figures are those of all runs that wrote it."""
    summary = Summary()
    for _, row in scored(path):
        if row is None:
            continue
        summary.rows += 1
        if row["failure"] is not None:
            summary.unscored += 1
            if len(summary.listed) < MAX_LISTED:
                summary.listed.append((row["line"], str(row["id"]), row["failure"]))
            continue
        summary.masked += row["overall"] is None
        for name, value in {"overall": row["overall"], **row["parts"]}.items():
            if value is not None:
                summary.columns[name].add(value)
            else:
                _ = summary.columns[name]  # a part without any value has a line in the table
    return summary
