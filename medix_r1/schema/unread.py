"""Refuses a changed value of a key that a run never reads, with what to use instead."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medix_r1.errors import Problem
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema.known import flatten, unread_defaults

_TABLE = Path(__file__).with_name("unread.yaml")


@functools.cache
def instead() -> Mapping[str, str]:
    """Key, or `node.*`, → what to use instead."""
    table: Mapping[str, str] = read_yaml(_TABLE)
    return table


def replacement(key: str) -> str | None:
    """What to use instead of a key that the table names; None if it does not."""
    whole = (said for name, said in instead().items() if name.endswith(".*") and key.startswith(name[:-1]))
    return instead().get(key) or next(whole, None)


def unread_problems(tree: Mapping[str, Any]) -> list[Problem]:
    """One problem for every key that nothing reads and whose value is not the default.

    Args:
        tree: a config as Hydra composed it, not resolved, as plain containers: so that the key that a user changed is
            told from those that only copy it.
    """
    defaults, problems = unread_defaults(), []
    for key, value in flatten(tree):
        if key in defaults and not isinstance(value, Mapping) and value != defaults[key]:
            said = replacement(key)
            hint = f"use {said}" if said else "leave it as it is"
            says = f"nothing reads it in a run, so {value!r} would do nothing; {hint}"
            problems.append(Problem(key, "not-read", says))
    return problems
