"""Whole groups of rows, for rewards with signals that compare the replies of a prompt.

All rows of a group have to be scored at once, or those that are would wait for the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from medix_r1.rewards.base import Sample, Seat
from medix_r1.rewards.composite import CompositeReward, RewardBreakdown
from medix_r1.scoring.rows import Line, Row


def group_sizes(lines: Iterable[Line[Row]]) -> Counter[str]:
    """Name of each group → rows."""
    return Counter(line.row.group_name for line in lines)


def whole_groups(lines: Iterable[Line[Row]], sizes: Counter[str]) -> Iterator[list[Line[Row]]]:
    """The rows group by group, each group where its last row stands; it holds those of groups that are not whole yet.

    Args:
        lines: in their order.
        sizes: of all groups.
    """
    waiting: dict[str, list[Line[Row]]] = {}
    for line in lines:
        name = line.row.group_name
        waiting.setdefault(name, []).append(line)
        if len(waiting[name]) == sizes[name]:
            yield waiting.pop(name)


def seated(samples: Sequence[Sample], name: str) -> list[Sample]:
    """The samples of a group, each with its place in it."""
    return [replace(sample, seat=Seat(name, number, len(samples))) for number, sample in enumerate(samples)]


async def score_group(composite: CompositeReward, samples: Sequence[Sample], name: str) -> list[RewardBreakdown]:
    """Score the samples of one group."""
    return list(await asyncio.gather(*map(composite.score, seated(samples, name))))
