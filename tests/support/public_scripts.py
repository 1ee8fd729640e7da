"""Public launch scripts, written anew from their keys and values (tests/unit/golden/public_scripts.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medix_r1.host.yaml_text import parse_yaml

CASES: list[dict[str, Any]] = parse_yaml(
    (Path(__file__).parents[1] / "unit" / "golden" / "public_scripts.yaml").read_text(encoding="utf-8")
)


def case(name: str) -> dict[str, Any]:
    """One script by its name."""
    return next(one for one in CASES if one["name"] == name)


def write(one: Mapping[str, Any], folder: Path) -> Path:
    """The script of a case, beside the file that its `config=` names."""
    lines = ["#!/bin/bash", "set -x", "export PYTHONUNBUFFERED=1"]
    lines += [f"{name}={value}  # it's a comment" for name, value in one.get("variables", {}).items()]
    if flags := one.get("flags"):
        words = [one["launcher"], one["main"], *(f"--{key} {value}".strip() for key, value in flags.items())]
    else:
        words = [f"python3 -m {one['main']}", *one.get("options", [])]
        words += ["config=examples/config.yaml"] if "base" in one else []
        words += [f"{key}={_word(value)}" for key, value in one["keys"].items()]
        words.append("$@")
    script = folder / "examples" / f"{one['name']}.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_text("\n".join([*lines, " \\\n    ".join(words), ""]), encoding="utf-8")
    if "base" in one:
        (folder / "examples" / "config.yaml").write_text(yaml.safe_dump(_tree(one["base"])), encoding="utf-8")
    return script


def settings(one: Mapping[str, Any]) -> set[str]:
    """Every key of a case, mappings opened as the reader opens them."""
    found = set(one.get("flags", {}))
    for key, value in {**one.get("base", {}), **one.get("keys", {})}.items():
        opened = parse_yaml(value) if isinstance(value, str) and value.startswith("{") else None
        name = key.lstrip("+")
        found |= {f"{name}.{below}" for below in opened} if opened else {name}
    return found


def _word(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) and value.startswith(("{", "[")) else str(value)


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        node = tree
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree
