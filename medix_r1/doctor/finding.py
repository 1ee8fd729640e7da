"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table; `fix` says what to do, unless `level` is ok."""

    name: str
    level: Level
    found: str
    fix: str = ""
