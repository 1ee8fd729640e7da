"""The keys that a training config may have: verl's, from a generated list, and those of our base files.

Nothing here imports verl; `find_spec` locates its YAML files.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema import kinds

_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_VERL_FIELDS = _HERE / "verl_fields.json"
_OTHER_NAMES = _HERE / "other_names.yaml"
_BASES = (  # our YAML files that say which keys there are, and the node that each one's content is put under
    ("train", ""),
    ("verl", ""),
    ("reward/composite", "reward."),
    ("judge/client", "judge."),
    ("judge/vllm", "judge."),
)


def config_dir() -> Path:
    """The folder of our YAML files: inside the package in an installed wheel, beside it in a clone."""
    return next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())


def verl_config_dir() -> Path:
    """The folder of verl's YAML files.

    Raises:
        ConfigError: verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError.of("", "verl-not-installed", "verl is not installed: pip install medix-r1")
    return Path(next(iter(spec.submodule_search_locations))) / "trainer" / "config"


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every node of a config, inner nodes included."""
    for key, value in config.items():
        full = f"{prefix}{key}"
        yield full, value
        if isinstance(value, Mapping):
            yield from flatten(value, f"{full}.")


@functools.cache
def _verl() -> Mapping[str, Any]:
    fields: Mapping[str, Any] = json.loads(_VERL_FIELDS.read_text(encoding="utf-8"))
    return fields


def verl_fields() -> Mapping[str, Mapping[str, str]]:
    """verl's dataclasses → their fields → each one's kind."""
    classes: Mapping[str, Mapping[str, str]] = _verl()["classes"]
    return classes


def verl_names(registry: str) -> list[str]:
    """Names in a registry of verl as it is without plug-ins, such as `…core_algos.POLICY_LOSS_REGISTRY`."""
    return list(_verl()["names"][registry])


def unread_defaults() -> Mapping[str, Any]:
    """Keys that a run never reads → their values in our base config, not resolved."""
    defaults: Mapping[str, Any] = _verl()["unread"]
    return defaults


@functools.cache
def known_kinds() -> Mapping[str, str]:
    """Every dotted key of verl's tree and of our base files → its kind, by type alone (values.py adds the ranges)."""
    kind_of: dict[str, str] = dict(_verl()["keys"])
    for name, prefix in _BASES:
        tree = read_yaml(config_dir() / f"{name}.yaml")
        tree.pop("defaults", None)
        for key, value in flatten(tree, prefix):
            if kind_of.get(key, kinds.ANY) == kinds.ANY:
                kind_of[key] = kinds.of_value(value)
    extra = {"judge": "map", "judge.client": "map|null", "judge.server": "map|null", "embedder": "map|null"}
    return (
        kind_of | extra | {"demo_dir": "text", "data.folder": "text|list|map", "reward.signals": "map", "alarms": "map"}
    )


def known_keys() -> frozenset[str]:
    """Every dotted key of verl's tree and of our base files."""
    return frozenset(known_kinds())


@functools.cache
def other_projects() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Project → its keys → what becomes of each here (`schema/other_names.yaml` explains the fields)."""
    names: Mapping[str, Mapping[str, Mapping[str, Any]]] = read_yaml(_OTHER_NAMES)
    return names


@functools.cache
def other_names() -> Mapping[str, str]:
    """Keys of other projects that are not also ours → what they are called here."""
    found: dict[str, str] = {}
    for keys in other_projects().values():
        for key, entry in keys.items():
            ours, said = entry.get("ours"), entry.get("said")
            text = f"{ours} ({said})" if ours and said else ours or entry.get("instead")
            if text and "*" not in key and key not in known_keys():
                found.setdefault(key, text)
    return found
