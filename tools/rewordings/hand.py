"""Sets of cases that were written by hand, each in a style of its own: by_hand/NAME.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medix_r1.host.yaml_text import read_yaml
from tools.rewordings.case import Case

FOLDER = Path(__file__).with_name("by_hand")
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@dataclass(frozen=True, slots=True)
class HandSet:
    """The cases of one file.

    Attributes:
        source: who wrote them, and when.
        style: what they are like.
        cases: right answers, and answers that offer several things.
    """

    source: str
    style: str
    cases: tuple[Case, ...]


def by_hand(name: str) -> HandSet:
    """Read a set."""
    found = read_yaml(FOLDER / f"{name}.yaml")
    right = [Case("by hand", reference, answer, 1, "right", "", "shared") for answer, reference in found["right"]]
    several = [
        Case("by hand", reference, answer, n, "several", "", "shared") for n, answer, reference in found["several"]
    ]
    return HandSet(found["source"], found["style"], (*right, *several))
