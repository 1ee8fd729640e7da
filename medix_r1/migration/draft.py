"""A translation while it is made: our choices and values, and what became of each of their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from medix_r1.migration.found import Script, Unresolved
from medix_r1.schema.known import other_projects

_TOKENS = {"prompt": 4352, "response": 4096}
_MOST_TOKENS = 10**8


class Fate(StrEnum):
    """What became of a key."""

    SAME = "same"
    CHANGED = "changed"
    NOT_NEEDED = "not needed"
    NONE = "no counterpart"


@dataclass(frozen=True, slots=True)
class Entry:
    """One of their keys.

    Attributes:
        theirs: their key.
        value: its value; their default where `is_default`.
        fate: what became of it.
        ours: our keys that it sets → values.
        why: why it is not the same, or a remark.
        is_default: the script does not set it.
    """

    theirs: str
    value: Any
    fate: Fate
    ours: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    is_default: bool = False


@dataclass(slots=True)
class Draft:
    """What is written: `choices` of groups, `values` of keys, and the commands to type next."""

    script: Script
    choices: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    next_commands: list[str] = field(default_factory=list)
    signal: Mapping[str, Any] | None = None  # their reward function, as the signal `ported`

    def theirs(self, key: str) -> Any:
        """Their value of a key, or their default; None where it is not known."""
        value = self.script.settings.get(key, table(self.script).get(key, {}).get("default"))
        return None if isinstance(value, Unresolved) else value

    def whole(self, key: str, otherwise: int) -> int:
        """Their value of a key that is a whole number above 0, else `otherwise`."""
        value = self.theirs(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise

    def tokens(self, what: str) -> int:
        """Tokens of a longest `prompt` or `response`; of a value that is none, those of our own config."""
        value = self.values.get(f"data.max_{what}_length")
        is_one = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST_TOKENS
        return value if is_one else _TOKENS[what]  # type: ignore[return-value]

    def row_tokens(self) -> int:
        """Tokens of a longest row: prompt and reply."""
        return self.tokens("prompt") + self.tokens("response")


def table(script: Script) -> Mapping[str, Mapping[str, Any]]:
    """What `schema/other_names.yaml` says of the keys of the script's project."""
    return other_projects()[script.project.value]
