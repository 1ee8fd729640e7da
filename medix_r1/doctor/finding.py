"""The result of one check, and the judge that a check may ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge to ask: its address, its model (None: the first that it names), the variable that holds its key."""

    url: str
    model: str | None = None
    key_env: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table; `fix` says what to do, unless `level` is ok."""

    name: str
    level: Level
    found: str
    fix: str = ""
