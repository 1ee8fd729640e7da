"""Reads overrides with Hydra's grammar, one at a time, so that each wrong one is named with what to write instead."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from medix_r1.errors import Problem
from medix_r1.schema import kinds
from medix_r1.schema.known import config_dir, known_keys, verl_config_dir
from medix_r1.schema.unknown import FREE_KEYS, nearest, unknown
from medix_r1.schema.values import kind_of

_OPEN = ("reward.signals", "alarms", "reward.weights", "reward.weight_tables", "hydra")  # users name what is below

_MOST_PIECES = 40  # words of a value that the shell has split
_OF_CLASSES = ("judge.client.", "embedder.")  # arguments of a class, which says which ones it requires


@functools.cache
def _parser() -> Any:
    return OverridesParser.create()


def parse(overrides: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """The overrides that Hydra's grammar takes, and a problem for each that it does not."""
    good, problems = [], []
    left = list(overrides)
    while left:
        text = left.pop(0)
        try:
            override = read(text)
        except HydraException as error:
            if pieces := _pieces(text, left):
                whole = " ".join([text, *left[:pieces]])
                del left[:pieces]
                says = f"the shell has split it at its blanks; put it in quotes: '{shortened(whole, 300)}'"
                problems.append(Problem(text.partition("=")[0], "not-quoted", says))
            else:
                problems.append(_not_parsed(text, error))
            continue
        if override.key_or_group:
            good.append(text)
        else:  # `@package=choice`
            problems.append(_with_package(text))
    return good, problems


def _pieces(text: str, following: Sequence[str]) -> int:
    """How many of the words that follow belong to an override with an open bracket, as in `key={a: b, c: d}`."""
    if not any(bracket in text for bracket in "{["):
        return 0
    for count in range(1, min(len(following), _MOST_PIECES) + 1):
        if _is_read(" ".join([text, *following[:count]])):
            return count
    return 0


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
    key, value = key.strip(), value.strip()
    if not equals or not key:
        return Problem(shortened(text) or "''", "no-override", "is no override; write key=value, or group=choice")
    if text != f"{key}={value}" and _is_read(f"{key}={value}"):
        return Problem(key, "not-parsed", f"no spaces beside the first =; write '{key}={value}'")
    quoted = '"' + value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not _is_read(f"{key}={quoted}"):
        return Problem(shortened(key), "not-parsed", f"Hydra cannot read it ({shortened(str(error))})")
    says = f"Hydra cannot read this value without quotes; as a text it is '{key}={shortened(quoted, 300)}'"
    return Problem(key, "not-parsed", says)


def _with_package(text: str) -> Problem:
    says = "`@` is for the files of a config; write key=value, or group=choice"
    return Problem(shortened(text), "no-override", says)


def _is_read(text: str) -> bool:
    try:
        read(text)
    except HydraException:
        return False
    return True


def shortened(text: str, most: int = 120) -> str:
    """A text on one line, cut where it is longer than `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def key_of(text: str) -> str:
    """The key or group of an override that parses."""
    return str(read(text).key_or_group)


def unknown_overrides(overrides: Sequence[str]) -> dict[str, Problem]:
    """Overrides that name a key which no file of a training config has, without composing → the problem of each."""
    found = {}
    for text in overrides:
        override = read(text)
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or is_group(key):
            continue
        if key in known_keys() or key.replace("/", ".").partition(".")[0] == "hydra" or _is_open(key):
            continue
        found[text] = unknown(key)
    return found


def deleting_overrides(overrides: Sequence[str]) -> dict[str, Problem]:
    """Overrides that delete what a run reads → each one's problem; what a user named may go, and an experiment may."""
    found = {}
    for text in overrides:
        override = read(text)
        key = override.key_or_group
        if not override.is_delete() or key == "experiment" or _is_open(key) or key.startswith(_OF_CLASSES):
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


def wrong_choices(overrides: Sequence[str], folders: Sequence[Path], others: Sequence[Path] = ()) -> dict[str, Problem]:
    """Overrides that choose no file, several files, or one that is not there → the problem of each.

    Args:
        overrides: those that Hydra's grammar takes.
        folders: ours first, then the user's, which hold groups.
        others: folders with further groups, of which nobody is told.
    """
    found = {}
    for text in overrides:
        override = read(text)
        group = override.key_or_group
        if override.package is not None:
            if not override.is_add():  # `eval` adds its tasks so
                found[text] = _with_package(text)
            continue
        is_hydras = group.startswith("hydra")  # its plug-ins have files elsewhere
        if is_hydras or override.is_delete() or override.is_sweep_override():
            continue
        ours = [file for folder in folders for file in _files(folder, group)]
        files = ours or [file for folder in others for file in _files(folder, group)]
        if not files:  # no group
            continue
        # A group that only the user's folders have gets its first choice by `+`.
        is_chosen = any((folder / group).is_dir() for folder in (*folders[:1], *others))
        is_added = is_chosen and (override.is_add() or override.is_force_add())
        if problem := _wrong_choice(group, override.value(), sorted(files), is_added=is_added):
            found[text] = problem
    return found


def _files(folder: Path, group: str) -> Iterator[str]:
    for file in (folder / group).rglob("*.yaml"):
        yield str(file.relative_to(folder / group).with_suffix(""))


def _wrong_choice(group: str, choice: Any, files: Sequence[str], *, is_added: bool) -> Problem | None:
    if isinstance(choice, list):
        says = f"takes one file of its group, not a list; several are a sweep (-m {group}=a,b)"
        return Problem(group, "one-choice", says)
    if choice is None:
        says = "leave it out" if group == "experiment" else f"a run needs one; known: {', '.join(files)}"
        return Problem(group, "no-null", f"null is no file of this group; {says}")
    name = str(choice).removesuffix(".yaml")
    if not isinstance(choice, str) or name not in files:
        return missing_file(group, str(choice), files)
    return Problem(group, "key-is-there", f"has a choice already; write {group}={name} without +") if is_added else None


def missing_file(group: str, choice: str, known: Sequence[str]) -> Problem:
    """The problem of a choice that no file of its group has.

    Args:
        group: of configs; empty for the main config.
        choice: what was asked for.
        known: the files that there are.
    """
    if group == "data" and (config_dir() / f"prepare/data/{choice}.yaml").is_file():
        says = (
            "is a kind of data set for `medix-r1 data prepare`; train on the folder that it writes: "
            "data=prepared data.folder=FOLDER"
        )
        return Problem(f"data={choice}", "not-prepared", says)
    key = shortened(f"{group or 'config'}={choice}")
    return Problem(key, "no-such-file", f"there is no such file{nearest(choice, known)}")


def chosen_files(overrides: Sequence[str]) -> list[str]:
    """GROUP/NAME of every choice among overrides that Hydra's grammar takes."""
    read_ones = [read(text) for text in overrides]
    return [
        f"{one.key_or_group}/{one.value()}" for one in read_ones if not one.is_delete() and is_group(one.key_or_group)
    ]


def wrong_values(overrides: Sequence[str]) -> dict[str, Problem]:
    """Overrides of known keys whose value is not one that the key takes → the problem of each, without composing."""
    found = {}
    for text in overrides:
        override = read(text)
        key = override.key_or_group
        if override.is_delete() or override.is_sweep_override() or is_group(key):
            continue
        value, kind = override.value(), kind_of(key)
        refers = isinstance(value, str) and "${" in value
        if not refers and (problem := kinds.refusal(kind, kinds.converted(kind, value), key)):
            found[text] = problem
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
