"""Whether two phrases are names of one thing, by open lists of synonyms."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from medix_r1.wording.terms import content, plain_stem

_LAY_NAMES = Path(__file__).with_name("lay_names.txt")
_DISEASES = ("disease", "syndrome", "disorder")
FILE = Path(__file__).with_name("synonyms.txt")


def key(stems: Sequence[str]) -> str:
    """The plain stems of a name, in alphabetical order: "fracture of the hip" is "hip fracture"."""
    return " ".join(sorted(word for word in stems if word not in _DISEASES) or stems)


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
    lines = [line.split(" = ") for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for line in _LAY_NAMES.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            groups = [group.split("=") for group in line.split(";")]
            lines += [[key(tuple(map(plain_stem, content(name.strip())))) for name in group] for group in groups]
    for thing, names in enumerate(lines):
        for name in names:
            found.setdefault(name, set()).add(thing)
    return {name: frozenset(things) for name, things in found.items()}
