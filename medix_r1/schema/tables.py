"""Kinds of the keys of `eval` and `data prepare`: which values each takes, from eval_rules.yaml and prepare_rules.yaml.

The syntax is that of rules.yaml. Unlike there, every key that has a kind stands in the table.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from medix_r1.composing import NOT_COMPOSED
from medix_r1.errors import Problem
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema import kinds
from medix_r1.schema.hydra_errors import composing_problem, refused_override
from medix_r1.schema.kinds import Kind

Made = TypeVar("Made")


@functools.cache
def table(name: str) -> Mapping[str, Kind]:
    """Key, or pattern of keys, → its kind.

    Args:
        name: `eval` or `prepare`.
    """
    rules = read_yaml(Path(__file__).with_name(f"{name}_rules.yaml"))
    return {key: Kind(**{"filled": True} | rule) for key, rule in rules.items()}


def value_problems(tree: Any, name: str) -> list[Problem]:
    """Convert texts of numbers, in place, and give a problem for each value that its key does not take.

    Args:
        tree: a resolved config as plain containers.
        name: of the table.
    """
    return list(_problems(tree, name, ""))


def _problems(node: Any, name: str, prefix: str) -> Iterator[Problem]:
    for part, value in node.items():
        key, kind = f"{prefix}{part}", _kind(f"{prefix}{part}", name)
        if kind is not None and value != "???":
            node[part] = value = kinds.converted(kind, value)
            if problem := kinds.refusal(kind, value, key):
                yield problem
                continue
        for where, inner in _nodes(key, value):
            yield from _problems(inner, name, f"{where}.")


def _nodes(key: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """A mapping, or those in a list, each with its key."""
    if isinstance(value, dict):
        yield key, value
    for number, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, dict):
            yield f"{key}[{number}]", entry


@functools.cache
def _kind(key: str, name: str) -> Kind | None:
    rules = table(name)
    patterns = {re.escape(one).replace(r"\*", r"[^.]+"): kind for one, kind in rules.items() if "*" in one}
    return rules.get(key) or next((kind for pattern, kind in patterns.items() if re.fullmatch(pattern, key)), None)


def composed_rest(
    make: Callable[[Sequence[str]], Made], overrides: Sequence[str], known: Collection[str]
) -> tuple[Made | None, list[Problem]]:
    """What composing makes of the overrides that it takes, and the problems of the others; None if it makes nothing.

    Args:
        make: composes, and raises what Hydra does.
        overrides: those that Hydra's grammar takes.
        known: dotted keys of the config.
    """
    left, problems = list(overrides), list[Problem]()
    while True:
        try:
            return make(left), problems
        except (*NOT_COMPOSED, RecursionError) as error:
            refused = refused_override(error, left, known)
            if not refused:
                return None, [*problems, composing_problem(error, known)]
            problems += refused.values()
            left = [one for one in left if one not in refused]
