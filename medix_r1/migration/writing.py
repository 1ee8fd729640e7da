"""Writes a translation as an experiment file, and as a command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from medix_r1.host.yaml_text import parse_yaml
from medix_r1.migration.draft import Draft
from medix_r1.untrusted import one_line

_PORTED: Mapping[str, Any] = {
    "reward.weights": {"llm": 0, "embed": 0, "format": 0, "modality": 0, "ported": 1.0},
    "reward.signals": {"llm": None, "embed": None},
}


def experiment_text(draft: Draft, source: str) -> str:
    """The YAML file of the experiment.

    Args:
        draft: what is written.
        source: where it comes from, for the first line.
    """
    defaults: list[Any] = [{f"override /{group}": choice} for group, choice in draft.choices.items()]
    body = yaml.safe_dump(
        {"defaults": [*defaults, "_self_"], **_tree(all_values(draft))}, sort_keys=False, allow_unicode=True
    )
    return f"# @package _global_\n# Translated by `medix-r1 translate` from {one_line(source, 200)}.\n{body}"


def all_values(draft: Draft) -> dict[str, Any]:
    """The values with their reward function as a signal."""
    if draft.signal is None:
        return dict(draft.values)
    signals = {**_PORTED["reward.signals"], "ported": dict(draft.signal)}
    return {**draft.values, "reward.weights": _PORTED["reward.weights"], "reward.signals": signals}


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        node = tree
        *parents, last = key.split(".")
        for parent in parents:
            below = node.setdefault(parent, {})
            if not isinstance(below, dict):
                below = node[parent] = {}
            node = below
        node[last] = value
    return tree


def command_line(draft: Draft, known: Mapping[str, Any]) -> str:
    """One command with every choice and value.

    Args:
        draft: what is written.
        known: dotted keys of the config without the values; others are added with `++`.
    """
    words = [f"{group}={choice}" for group, choice in draft.choices.items()]
    for key, value in all_values(draft).items():
        leaves = value.items() if key == "reward.signals" else [(None, value)]
        for below, leaf in leaves:
            full = key if below is None else f"{key}.{below}"
            words.append(shlex.quote(f"{'' if full in known else '++'}{full}={_text(leaf)}"))
    return " \\\n  ".join(["medix-r1 train", *words])


def _text(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if text and all(char.isalnum() or char in "_-./:" for char in text) and not _looks_like_another(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _looks_like_another(text: str) -> bool:
    return not isinstance(parse_yaml(text) if ": " not in text else text, str) or text.startswith(("-", ":"))
