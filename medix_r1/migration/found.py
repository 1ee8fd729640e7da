"""What was read from a script: its settings, as they stand there, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Project(StrEnum):
    """Whose script it is."""

    EASYR1 = "easyr1"
    VERL = "verl"
    TRL = "trl"


NAMES: Mapping[Project, str] = {Project.EASYR1: "EasyR1", Project.VERL: "verl", Project.TRL: "TRL"}


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A value that only running the script would tell, as it is written there."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Script:
    """The settings of a script.

    Attributes:
        project: whose keys they are.
        settings: their key → value; plain YAML values, or `Unresolved`.
        base: the file that `config=` or `--config` names, where it could not be found.
        gpus: processes or GPUs that the launcher names; None where it names none.
        environment: variables that the script exports.
        remarks: what a reader should know, a sentence each.
    """

    project: Project
    settings: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    gpus: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
