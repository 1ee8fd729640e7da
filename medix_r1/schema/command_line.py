"""Reads overrides with Hydra's grammar, one at a time, so that each wrong one is named with what to write instead."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from medix_r1.errors import Problem
from medix_r1.schema.known import config_dir, known_keys, verl_config_dir
from medix_r1.schema.unknown import FREE_KEYS, unknown

_OPEN = ("reward.signals", "alarms", "reward.weights", "reward.weight_tables", "hydra")  # users name what is below


@functools.cache
def _parser() -> Any:
    return OverridesParser.create()


def parse(overrides: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """The overrides that Hydra's grammar takes, and a problem for each that it does not."""
    good, problems = [], []
    for text in overrides:
        try:
            read(text)
            good.append(text)
        except HydraException as error:
            problems.append(_not_parsed(text, error))
    return good, problems


def read(text: str) -> Override:
    """One override.

    Raises:
        HydraException: Hydra's grammar does not take it.
    """
    (override,) = _parser().parse_overrides([text])
    result: Override = override
    return result


def _not_parsed(text: str, error: HydraException) -> Problem:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        return Problem(text or "''", "no-override", "is no override; write key=value, or group=choice")
    quoted = '"' + value.strip().strip("'\"").replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        read(f"{key}={quoted}")
    except HydraException:
        return Problem(key, "not-parsed", f"Hydra cannot read it ({' '.join(str(error).split())[:120]})")
    return Problem(key, "not-parsed", f"Hydra cannot read this value without quotes; as a text it is '{key}={quoted}'")


def key_of(text: str) -> str:
    """The key or group of an override that parses."""
    return str(read(text).key_or_group)


def unknown_overrides(overrides: Sequence[str]) -> dict[str, Problem]:
    """Overrides that name a key which no file of a training config has, without composing → the problem of each."""
    found = {}
    for text in overrides:
        override = read(text)
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or override.package is not None or is_group(key):
            continue
        if key in known_keys() or key.partition(".")[0] == "hydra" or _is_open(key):
            continue
        found[text] = unknown(key)
    return found


def deleting_overrides(overrides: Sequence[str]) -> dict[str, Problem]:
    """Overrides that delete what a run reads → each one's problem; what a user named may go, and an experiment may."""
    found = {}
    for text in overrides:
        override = read(text)
        key = override.key_or_group
        if not override.is_delete() or key == "experiment" or _is_open(key):
            continue
        if is_group(key):
            found[text] = Problem(
                key, "key-deleted", f"a run needs one; choose another file of the group, as in {key}=…"
            )
        elif key in known_keys():
            found[text] = Problem(
                key, "key-deleted", "a run reads it; leave it, or set it to null where that is allowed"
            )
    return found


def is_group(key: str) -> bool:
    """Whether a key names a group of configs, ours or verl's."""
    return any((folder / key).is_dir() for folder in (config_dir(), verl_config_dir()))


def _is_open(key: str) -> bool:
    """Whether a user names what stands at this key, so that only the composed config knows it."""
    parts = key.split(".")
    return key.startswith(tuple(f"{one}." for one in _OPEN)) or any(part in FREE_KEYS for part in parts[:-1])


def quoted(value: str) -> str:
    """A value quoted for Hydra's override grammar."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
