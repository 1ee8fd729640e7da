"""Whether two phrases are names of one thing, by open lists of synonyms (synonyms.txt)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

_DISEASES = ("syndrome", "disorder")
FILE = Path(__file__).with_name("synonyms.txt")


def key(stems: Sequence[str]) -> str:
    """The plain stems of a name, in alphabetical order: "fracture of the hip" is "hip fracture"."""
    return " ".join(sorted("disease" if word in _DISEASES else word for word in stems))


@functools.lru_cache(maxsize=4096)
def are_synonyms(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two phrases, as tuples of plain stems, are names of one thing."""
    return not _named(one).isdisjoint(_named(other))


def _named(stems: Sequence[str]) -> frozenset[int]:
    names, nothing = _things(), frozenset[int]()
    return names.get(key(stems), nothing) | names.get("".join(stems), nothing)  # "collar bone" is "collarbone"


@functools.cache
def _things() -> Mapping[str, frozenset[int]]:
    """Name → the numbers of the things that it names."""
    found: dict[str, set[int]] = {}
    for thing, line in enumerate(FILE.read_text(encoding="utf-8").splitlines()):
        if not line.startswith("#"):
            for name in line.split(" = "):
                found.setdefault(name, set()).add(thing)
    return {name: frozenset(things) for name, things in found.items()}
