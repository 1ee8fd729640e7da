"""Reads YAML with PyYAML's parser in C, which gives what its parser in Python gives, in a tenth of the time."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml


class _UniqueKeys(LOADER):  # type: ignore[misc]
    """Refuses a key that stands twice in a mapping, of which YAML would take the last in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands there twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str, *, unique: bool = False) -> Any:
    """A YAML document as plain values; `unique` refuses a key that stands twice, as Hydra does.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, Loader=_UniqueKeys if unique else LOADER)


def read_yaml(path: Path | Traversable, *, unique: bool = False) -> Any:
    """`parse_yaml` of a file in UTF-8.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
        yaml.YAMLError: it is no YAML.
    """
    return parse_yaml(path.read_text(encoding="utf-8"), unique=unique)
