"""Looks at every value of a composed config: is it of its key's type, in its range, one of its choices?"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medix_r1.errors import ConfigError, Problem
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema import kinds
from medix_r1.schema.kinds import Kind
from medix_r1.schema.known import flatten, known_kinds
from medix_r1.schema.targets import Target, target
from medix_r1.schema.unknown import COPIES

_RULES = Path(__file__).with_name("rules.yaml")
_MISSING = "???"
_MAY_BE_EMPTY = ("transfer_queue.backend.MooncakeStore.device_name",)  # verl's own default
_SOURCE = re.compile(r"\$\{(?:oc\.select:)?(\.?)([\w.]+)(?:,[^}]*)?\}")  # `${a.b}`, `${.b}`, `${oc.select:a.b,default}`
_REFERENCE = re.compile(r"\$\{(?:[\w.]+:)?([\w.]+)")


@functools.cache
def rules() -> Mapping[str, Kind]:
    """Key, or pattern of keys, → its kind, in the order of the file."""
    table = read_yaml(_RULES)
    return {key: Kind(**rule) for key, rule in table.items()}


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], Kind]]:
    return [(re.compile(re.escape(key).replace(r"\*", r"[^.]+")), kind) for key, kind in rules().items() if "*" in key]


@functools.cache
def kind_of(key: str) -> Kind:
    """The kind of a key: its rule, with the type of verl's dataclass or of our default if it names none."""
    rule = rules().get(key) or next((kind for pattern, kind in _patterns() if pattern.fullmatch(key)), None)
    known = known_kinds().get(key, kinds.ANY)
    filled = key not in _MAY_BE_EMPTY
    if rule is None:
        return Kind(type=known, filled=filled)
    entries = rule.entries and rule.entries.model_copy(update={"filled": filled})
    return rule.model_copy(update={"type": rule.type or known, "filled": filled, "entries": entries})


def sources(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Keys whose whole value is another key's, in a tree that is not resolved yet → that key."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= sources(value, f"{prefix}{name}.")
        elif isinstance(value, str) and (match := _SOURCE.fullmatch(value)):
            found[f"{prefix}{name}"] = f"{prefix}{match[2]}" if match[1] else match[2]
    return found


def unresolved(config: DictConfig, tree: Mapping[str, Any]) -> list[Problem]:
    """Problems of interpolations that lead nowhere, but for those that only lead to another one.

    Args:
        config: as Hydra composed it.
        tree: the same as plain containers, not resolved.
    """
    failed: dict[str, tuple[str, str]] = {}
    for key, value in flatten(tree):
        if isinstance(value, str) and "${" in value:
            try:
                OmegaConf.select(config, key, throw_on_missing=False)
            except (OmegaConfBaseException, RecursionError) as error:
                failed[key] = value, next(iter(str(error).splitlines()), "")
    return [
        Problem(key, "not-resolved", f"{value} leads nowhere ({says})")
        for key, (value, says) in failed.items()
        if not {one for one in _REFERENCE.findall(value) if one != key} & failed.keys()
    ]


def convert(tree: Any) -> None:
    """Change, in place, every value that is a text of a number, or a number for a text, to its key's type."""
    for one in _leaves(tree, ""):
        if one.value != _MISSING:
            one.node[one.name] = kinds.converted(one.kind, one.value)


def take_out(tree: Any, before: Mapping[str, Any]) -> tuple[list[Problem], frozenset[str]]:
    """Set every value that its key does not take to `???`, in place.

    Args:
        tree: a resolved config as plain containers.
        before: the same, not resolved, so that one wrong value is one problem: what holds it is taken out without one.

    Returns:
        the problems, and the keys of all such values.
    """
    copies, found = sources(before), dict[str, Problem]()
    for one in _leaves(tree, ""):
        if one.value != _MISSING and (refused := kinds.refusal(one.kind, one.value, one.key)):
            found[one.key] = refused
            one.node[one.name] = _MISSING
    holding = _holding(tree, before, frozenset(found))
    return [problem for key, problem in found.items() if not _is_reported(key, copies, found)], holding | found.keys()


def _holding(tree: Any, before: Mapping[str, Any], wrong: frozenset[str]) -> frozenset[str]:
    """Set every text that is made with a wrong value, such as an address with its port, to `???`; their keys."""
    named = {key: value for key, value in flatten(before) if isinstance(value, str) and "${" in value}
    held = {key for key, value in named.items() if wrong & {*_REFERENCE.findall(value)}}
    for key, _ in list(flatten(tree)) if held else ():
        if key in held:
            *nodes, name = key.split(".")
            node: Any = functools.reduce(lambda inner, part: inner[part], nodes, tree)
            node[name] = _MISSING
    return frozenset(held)


def broken_nodes(tree: Mapping[str, Any], required: Sequence[str]) -> list[Problem]:
    """Problems of nodes that are no mappings, or not there: nothing else of such a config can be looked at.

    Args:
        tree: a config that is not resolved, as plain containers.
        required: nodes that have to be there.
    """
    problems = []
    for key, value in flatten(tree):
        kind = kind_of(key)
        is_open = isinstance(value, Mapping) or (isinstance(value, str) and ("${" in value or value == _MISSING))
        if (
            set(kind.types) <= {"map", "null"}
            and kind.type
            and not is_open
            and (refused := kinds.refusal(kind, value, key))
        ):
            problems.append(refused)
    named = {problem.key for problem in problems}
    for key in required:
        node: Any = tree
        for depth, part in enumerate(parts := key.split(".")):
            if not isinstance(node, Mapping) or part not in node:
                if (absent := ".".join(parts[: depth + 1])) not in named and not named & {*_above(key)}:
                    says = "is not there, and a run reads it; do not delete it, and choose another file of its group"
                    problems.append(Problem(absent, "key-deleted", says))
                    named.add(absent)
                break
            node = node[part]
    return problems


def _above(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _is_reported(key: str, copies: Mapping[str, str], found: Mapping[str, Problem]) -> bool:
    for _ in range(10):  # a chain of copies
        if (source := copies.get(key)) is None:
            return False
        if source in found:
            return True
        key = source
    return False


@dataclass(slots=True)
class _Leaf:
    """A value, where it stands, and the kind of its key."""

    key: str
    node: Any  # the mapping that holds it
    name: str
    value: Any
    kind: Kind


def _leaves(tree: Any, prefix: str, known: Target | None = None) -> Iterator[_Leaf]:
    """Every node with its kind, inner ones included, but copies of judge and embedder."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if COPIES.match(key):
            continue
        yield _Leaf(key, tree, name, value, Kind(type="text") if name == "_target_" else _kind(key, str(name), known))
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{key}.", _target(value, key))
        elif isinstance(value, list):
            for number, entry in enumerate(value):
                if isinstance(entry, Mapping) and "_target_" in entry:
                    yield from _leaves(entry, f"{key}[{number}].", _target(entry, f"{key}[{number}]"))


def _kind(key: str, name: str, known: Target | None) -> Kind:
    if known is not None and name in known.parameters:
        parameter = known.parameters[name]
        own = kind_of(key)
        return _both(parameter, own if own.type not in ("", kinds.ANY) else Kind(filled=known.is_ours))
    return kind_of(key)


def _both(parameter: Kind, rule: Kind) -> Kind:
    """The rule of a key where there is one with bounds or choices, else what the class takes."""
    return rule if rule.bounds or rule.choices else parameter.model_copy(update={"filled": rule.filled})


def _target(node: Mapping[str, Any], key: str) -> Target | None:
    reference = node.get("_target_")
    if not isinstance(reference, str) or reference.startswith("verl."):
        return None
    try:
        return target(reference, f"{key}._target_")
    except ConfigError:  # unknown_keys reports it
        return None
