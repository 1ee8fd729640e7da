"""Reports keys that nobody knows, each with what it is called here, or with the nearest known key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from medix_r1.errors import ConfigError, Problem
from medix_r1.schema.known import config_dir, flatten, known_keys, other_names
from medix_r1.schema.targets import target

FREE_KEYS = (  # dictionaries whose keys are not checked here
    "override_config",
    "engine_kwargs",
    "ray_init",
    "reward_kwargs",
    "environment",
    "mm_processor_kwargs",
    "extra_body",
    "apply_chat_template_kwargs",
    "mixed_precision",
    "folder",  # shares of prepared folders
    "weights",  # checked by the composite reward
    "weight_tables",  # checked by the composite reward
)
_FREE_NAMES = ("reward.signals.", "alarms.")  # nodes whose entries a user names
COPIES = re.compile(r"reward\.signals\.[^.]+\.(?:judge|embedder)\.")  # of judge.client and embedder, reported there
_FEW = 13
_HYDRAS = ("_target_", "_convert_", "_recursive_", "_partial_", "_args_")
_EASYR1 = ("worker.actor.", "worker.rollout.", "worker.ref.")


def unknown_keys(tree: Mapping[str, Any]) -> list[Problem]:
    """One problem for every unknown key of a composed config, and for every `_target_` that cannot be built.

    Args:
        tree: the config as plain containers.
    """
    fields, problems = _fields_of_targets(tree)
    known = known_keys() | fields
    for key in _unknown(tree, known, ""):
        if COPIES.match(key):
            continue
        problems.append(unknown(key, known))
    return problems


def without_package(tree: Mapping[str, Any], choices: Mapping[str, Any]) -> list[Problem]:
    """Files of a group that lack the line which puts their content where it belongs.

    Args:
        tree: a composed config as plain containers.
        choices: group → chosen file, as Hydra notes them.
    """
    tops = {key for key in known_keys() if "." not in key}
    problems = []
    for group, choice in choices.items():
        node: Any = tree
        for part in group.split("/"):
            node = node.get(part) if isinstance(node, Mapping) else None
        misplaced = tops & node.keys() if isinstance(node, Mapping) and choice else set()
        is_experiment = group == "experiment" and isinstance(node, Mapping)  # nothing else has this name
        own = f"{group.replace('/', '.')}."
        if is_experiment or (misplaced and not any(f"{own}{name}" in known_keys() for name in misplaced)):
            says = f"{group}/{choice}.yaml lacks the line `# @package _global_` at its top, so its keys are misplaced"
            problems.append(Problem(f"{group}={choice}", "no-package-line", says))
    for name in tree:
        if str(name).startswith("_") and name not in known_keys():
            says = f"a file's line `# @package {name}` puts its keys there; write `# @package _global_`"
            problems.append(Problem(str(name), "no-package-line", says))
    return problems


def unknown(key: str, known: Collection[str] | None = None) -> Problem:
    """The problem of an unknown key: what it is called here, else which keys may be meant.

    Those are in turn a key that is its end; the nearest of its siblings; keys whose parts are the same, with others
    between them; keys of the same name elsewhere in the same node; its siblings, where they are few.
    """
    known = known_keys() if known is None else known
    if "run.seed" in known and (said := called_here(key)):  # a training config
        return Problem(key, "other-name", f"is another project's key; here it is {said}")
    if f"{key.rpartition('.')[0]}." in _FREE_NAMES and "run.seed" in known:
        return Problem(
            key,
            "no-such-key",
            f"no such key{_meant(key, known)}; a new one has a class: +{key}._target_=./file.py:Name",
        )
    if key in known or _is_below_a_free_key(key, known):
        return Problem(key, "not-in-yaml", f"the config that you chose has no such key yet; to add it, write +{key}=…")
    return Problem(key, "no-such-key", f"no such key{_meant(key, known)}")


def _meant(key: str, known: Collection[str]) -> str:
    parts = key.split(".")
    for start in range(1, len(parts) - 1):  # a whole key of ours behind a node that it is not in
        if (end := ".".join(parts[start:])) in known:
            return f"; did you mean {end}?"
    node, _, name = key.rpartition(".")
    siblings = {one.rpartition(".")[2]: one for one in known if one.rpartition(".")[0] == node}
    if not node and "run.seed" in known:
        siblings |= {path.name: path.name for path in config_dir().iterdir() if path.is_dir()}
    words = {*name.removesuffix("s").split("_")}
    holding = [one for one in siblings if words <= {word.removesuffix("s") for word in one.split("_")}]
    if near := difflib.get_close_matches(name, siblings, n=1, cutoff=0.67) or sorted(holding, key=len):
        return f"; did you mean {siblings[near[0]]}?"
    longer = [one for one in known if len(one) > len(key) and _holds(one.split("."), parts)]
    if longer:
        return f"; did you mean {min(longer, key=lambda one: (not one.startswith('actor_'), len(one), one))}?"
    if node in known:
        return f"; known there: {', '.join(sorted(siblings))}" if 0 < len(siblings) < _FEW else ""
    if near := difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.75):
        return f"; did you mean {near[0]}?"
    return "" if node else f"; known: {', '.join(sorted(siblings))}"


def _holds(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a key ends like a shorter one, and has all its parts in this order."""
    rest = iter(parts)
    return parts[-1] == wanted[-1] and all(one in rest for one in wanted)


def called_here(key: str) -> str:
    """What a key of another project is called here; empty if it is nobody's."""
    if said := other_names().get(key):
        return said
    for prefix in _EASYR1:
        ours = key.replace("worker.", "actor_rollout_ref.", 1)
        if key.startswith(prefix) and ours in known_keys():
            return ours
    return ""


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?`, or the known words if they are few; empty if there are none."""
    if near := difflib.get_close_matches(word, known, n=1, cutoff=0.6):
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) < 40 else ""


def _is_below_a_free_key(key: str, known: Collection[str]) -> bool:
    parts = key.split(".")
    return any(part in FREE_KEYS and ".".join(parts[: i + 1]) in known for i, part in enumerate(parts[:-1]))


def _unknown(tree: Mapping[str, Any], known: Collection[str], prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if name == "_target_" or (prefix in _FREE_NAMES and (value is None or isinstance(value, Mapping))):
            if isinstance(value, Mapping):
                yield from _unknown(value, known, f"{key}.")
        elif key not in known:
            yield key
        elif isinstance(value, Mapping) and name not in FREE_KEYS and not _is_argument(prefix, value):
            yield from _unknown(value, known, f"{key}.")


def _is_argument(prefix: str, value: Mapping[str, Any]) -> bool:
    """Whether a node is a dictionary argument of a signal, whose keys the signal checks."""
    return prefix.startswith("reward.signals.") and "_target_" not in value


def _fields_of_targets(tree: Mapping[str, Any]) -> tuple[set[str], list[Problem]]:
    """Dotted keys of all parameters of `_target_`s, and the problems of targets (those of interpolated copies once)."""
    fields: set[str] = set()
    problems: dict[tuple[str, str], Problem] = {}
    for key, node in flatten(tree):
        if not isinstance(node, Mapping):
            continue
        if not isinstance(node.get("_target_"), str):
            if f"{key.rpartition('.')[0]}." in _FREE_NAMES and "_target_" not in node:
                says = f"which class? write +{key}._target_=./file.py:Name, or a name of docs/extend"
                problems[(key, says)] = Problem(f"{key}._target_", "no-value", says)
                fields |= {below for below, _ in flatten(node, f"{key}.")}  # what has no class has no unknown keys
            continue
        try:
            found = target(node["_target_"], f"{key}._target_")
        except ConfigError as error:
            problems |= {(problem.code, problem.text): problem for problem in error.problems}
            fields |= {f"{key}.{name}" for name in node}  # what cannot be loaded has no unknown keys
            continue
        fields |= {f"{key}.{name}" for name in (node if found.is_open else found.parameters)}
        for name in sorted(found.required - node.keys()):
            says = f"{node['_target_']} requires a value; give one"
            problems[(name, says)] = Problem(f"{key}.{name}", "no-value", says)
        if not found.is_open and not node["_target_"].startswith("verl."):
            for name in sorted(node.keys() - found.parameters.keys() - {*_HYDRAS}):
                near = difflib.get_close_matches(name, sorted(found.parameters), n=1, cutoff=0.67)
                says = f"{node['_target_']} takes no {name}; to leave it out, ~{key}.{name}"
                says = f"no such key; did you mean {key}.{near[0]}?" if near else says
                problems[(name, node["_target_"])] = Problem(f"{key}.{name}", "no-such-key", says)
                fields.add(f"{key}.{name}")
    return fields, list(problems.values())
