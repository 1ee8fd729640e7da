"""Turns an error of composing into a problem of one line that names what to change."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf.errors import GrammarParseError, InterpolationKeyError

from medix_r1.errors import Problem
from medix_r1.schema import command_line, kinds
from medix_r1.schema.kinds import Kind
from medix_r1.schema.unknown import unknown
from medix_r1.schema.values import kind_of

_NOT_OVERRIDDEN = re.compile(r"Could not (?:override|append to config|delete from config)[^']*'([^']+)'")
_THERE_ALREADY = re.compile(r"Could not append to config\. An item is already at '([^'=]+)'")
_INNER = re.compile(r"full_key: (\S+)")
_SWEPT = re.compile(r"Ambiguous value for argument '([^=]+)=(.*)'$", re.MULTILINE)


def composing_problem(error: Exception, known: Collection[str] | None = None) -> Problem:
    """The problem of an error that Hydra, OmegaConf or PyYAML raised, with the nearest known key or choice.

    Args:
        error: what composing raised.
        known: dotted keys of the config; None for those of a training config.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, yaml.MarkedYAMLError):
            return _broken_file(cause)
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return command_line.missing_file(group, choice, error.options or [])
    if match := _SWEPT.search(text):
        key, values = match[1].lstrip("+"), match[2]
        says = f"several values are a sweep (medix-r1 train -m); as one list they are '{key}=[{values}]'"
        return Problem(key, "sweep-without-m", says)
    if match := _THERE_ALREADY.search(text):
        return Problem(match[1], "key-is-there", f"is there already; write {match[1]}=… without +")
    if match := _NOT_OVERRIDDEN.search(text):
        key = match[1].partition("=")[0].lstrip("+~")
        if (inner := _INNER.search(f"{text} {error.__cause__}")) and inner[1].startswith(f"{key}."):
            key = inner[1]  # of a mapping that was given as the value
        return unknown(key, known)
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        text = f"{next(iter(text.splitlines()), '')} {error.__cause__}"
    if isinstance(error.__cause__, GrammarParseError) and (inner := _INNER.search(f"{text} {error.__cause__}")):
        why = next(iter(str(error.__cause__).splitlines()), "")
        return Problem(inner[1], "not-resolved", f"an interpolation in it cannot be read ({why}); write ${{key}}")
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(one, AttributeError) for one in causes) and (inner := _INNER.search(" ".join(map(str, causes)))):
        says = f"Hydra cannot merge this value; set what is below it, one by one, as in +{inner[1]}.NAME=VALUE"
        return Problem(inner[1], "not-composed", says)
    if isinstance(error, RecursionError):
        text = "a file of the config includes itself, or a value refers to itself"
    if isinstance(error, InterpolationKeyError):
        text = f"{error.full_key}: {text.splitlines()[0]}"
    return Problem("config", "not-composed", " ".join(text.split()))


def refused_override(
    error: Exception, overrides: Collection[str], known: Collection[str] | None = None
) -> dict[str, Problem]:
    """The override for which composing failed → its problem; empty if the error names none.

    Args:
        error: what composing raised.
        overrides: those that Hydra's grammar takes.
        known: as in `composing_problem`.
    """
    text = str(error)
    named = [one for one in overrides if text.startswith(f"Error merging override {one}")]
    if not named:
        problem = composing_problem(error, known)
        refused = match[1].partition("=")[0].lstrip("+~") if (match := _NOT_OVERRIDDEN.search(text)) else problem.key
        return {one: problem for one in overrides if command_line.key_of(one) == refused}
    override = max(named, key=len)
    read = command_line.read(override)
    key = read.key_or_group
    wanted = Kind(type="map" if "object_type=dict" in f"{text} {error.__cause__}" else "list")
    kind = kind_of(key) if known is None else wanted
    problem = kinds.refusal(kind, read.value(), key) or Problem(
        key, "not-composed", command_line.shortened(str(error.__cause__ or error))
    )
    return {override: problem}


def _broken_file(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = str(Path(mark.name)) if mark is not None else "config"
    line = f"line {mark.line + 1}: " if mark is not None else ""
    return Problem(where, "broken-yaml", f"{line}{error.problem or error.context or 'is no YAML'}; mend the file")
