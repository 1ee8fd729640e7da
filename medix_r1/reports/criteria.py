"""What a run's replies met of their criteria: by tag and by criterion, in its first and in its last steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medix_r1.reports.samples import Line, lines, step_files

_STEPS = 3  # at either end of a run
_SHOWN = 40  # criteria, those that were asked most often
_LONGEST = 200  # characters of a criterion
FIRST, LAST = "first", "last"


@dataclass(slots=True)
class Met:
    """How often a criterion, or those of a tag, were met.

    Attributes:
        name: the criterion, or the tag.
        points: of the criterion; 0 for a tag.
        asked, met: verdicts by end of the run, `first` and `last`.
        lost: verdicts that are missing.
    """

    name: str
    points: float = 0.0
    asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    met: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lost: int = 0

    def add(self, end: str, detail: Mapping[str, Any]) -> None:
        """Count one verdict."""
        if detail.get("met") is None:
            self.lost += 1
            return
        self.asked[end] += 1
        self.met[end] += bool(detail["met"])

    def share(self, end: str) -> float | None:
        """Share of met verdicts; None without any."""
        return self.met[end] / self.asked[end] if self.asked[end] else None


@dataclass(frozen=True, slots=True)
class Criteria:
    """The two tables of a report, and how many criteria are not in the second."""

    tags: list[Met]
    criteria: list[Met]
    more: int

    def __bool__(self) -> bool:
        return bool(self.criteria)


def of_run(run: Path) -> Criteria:
    """The criteria of a run's training samples, of its first and last three steps."""
    steps = sorted(step_files(run, "train"))
    ends = {FIRST: steps[:_STEPS], LAST: steps[-_STEPS:]}
    tags: dict[str, Met] = {}
    criteria: dict[str, Met] = {}
    for end, chosen in ends.items():
        for detail in _details(line for step in chosen for line in lines(run, "train", step)):
            text = str(detail["text"])[:_LONGEST]
            criteria.setdefault(text, Met(text, float(detail.get("points") or 0.0))).add(end, detail)
            for tag in detail.get("tags") or ():
                tags.setdefault(str(tag), Met(str(tag))).add(end, detail)
    ranked = sorted(criteria.values(), key=lambda one: (-sum(one.asked.values()), one.name))
    return Criteria(sorted(tags.values(), key=lambda one: one.name), ranked[:_SHOWN], max(0, len(ranked) - _SHOWN))


def _details(found: Iterable[Line]) -> Iterator[Mapping[str, Any]]:
    return (detail for line in found for details in (line.get("details") or {}).values() for detail in details)
