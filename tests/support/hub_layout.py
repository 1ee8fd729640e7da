"""Golden tables of the layout that published weights have (tests/data/hub_layout.yaml), evaluated for a config."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medix_r1.host.yaml_text import read_yaml

_TABLES = read_yaml(Path(__file__).parents[1] / "data" / "hub_layout.yaml")
ARCHITECTURES: tuple[str, ...] = tuple(_TABLES)


def published(architecture: str) -> Mapping[str, Any]:
    """`config` and `shapes` that were reported of a published model; empty for most."""
    found: Mapping[str, Any] = _TABLES[architecture].get("published", {})
    return found


def sources(architecture: str) -> list[str]:
    found: list[str] = _TABLES[architecture]["source"]
    return found


def layout(architecture: str, config: Mapping[str, Any], *, tied: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published model with this config.json; symbols that it does not have stay out."""
    table = _TABLES[architecture]
    symbols = {name: value for name, place in table["config"].items() if (value := _value(place, config)) is not None}
    tensors = table["tensors"] | ({} if tied else table["untied"])
    found = {}
    for pattern, shape in tensors.items():
        counters = re.findall(r"\{(\w+)\}", pattern)
        factors = [] if shape is None else [str(size).split("*") for size in shape]
        needed = {*counters, *itertools.chain(*factors)} - {
            factor for size in factors for factor in size if factor.isdigit()
        }
        if shape is None or not needed <= symbols.keys():
            continue
        for numbers in itertools.product(*(range(symbols[counter]) for counter in counters)):
            name = pattern.format(**dict(zip(counters, numbers, strict=True)))
            found[name] = tuple(
                math.prod(int(factor) if factor.isdigit() else symbols[factor] for factor in size) for size in factors
            )
    return found


def _value(place: str, config: Mapping[str, Any]) -> int | None:
    if "/" in place:
        whole, part = (_value(side, config) for side in place.split("/"))
        return None if whole is None or part is None else whole // part
    node: Any = config
    for key in place.removeprefix("#").split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return len(node) if place.startswith("#") and node is not None else node
