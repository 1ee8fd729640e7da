"""Finds what is wrong with a user's YAML files where Hydra could not compose them and does not name the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.host.yaml_text import LOADER


def broken_files(folders: Sequence[Path], chosen: Sequence[str]) -> list[Problem]:
    """A problem for each file that no config can be made of, of those that are chosen and those that they build on.

    Args:
        folders: a user's, which hold groups.
        chosen: GROUP/NAME of each choice.
    """
    seen: dict[Path, list[str]] = {}
    for name in chosen:
        _look(name, folders, seen)
    return [
        Problem(str(file), "broken-yaml", f"{one}; mend the file") for file, faults in seen.items() for one in faults
    ]


def _look(name: str, folders: Sequence[Path], seen: dict[Path, list[str]]) -> None:
    for file in (folder / f"{name.removesuffix('.yaml')}.yaml" for folder in folders):
        if not named_path(str(file)).is_file() or file in seen:
            continue
        tree, seen[file] = _read(file)
        defaults = tree.get("defaults") if isinstance(tree, Mapping) else None
        for entry in defaults if isinstance(defaults, list) else ():
            if isinstance(entry, str):
                _look(
                    entry.lstrip("/") if entry.startswith("/") else f"{name.rpartition('/')[0]}/{entry}", folders, seen
                )
            elif isinstance(entry, Mapping):
                for group, choice in entry.items():
                    _look(f"{str(group).removeprefix('override ').strip('/')}/{choice}", folders, seen)


def _read(file: Path) -> tuple[Any, list[str]]:
    """What a file holds, and what is wrong with it."""
    try:
        tree = yaml.load(file.read_text(encoding="utf-8"), LOADER)
    except UnicodeDecodeError as error:
        return None, [f"is no UTF-8 ({error.reason} at byte {error.start})"]
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        return None, [f"is no YAML ({' '.join(str(error).split())})"]
    return tree, list(_faults(tree, file.stem))


def _faults(tree: Any, own: str) -> Iterator[str]:
    if tree is None or isinstance(tree, str):  # Hydra takes a word for a key without a value
        return
    if not isinstance(tree, Mapping):
        yield f"holds a {type(tree).__name__}, not keys with values"
    elif _is_endless(tree, ()):
        yield "an alias (*) stands inside of what it names"
    else:
        yield from _wrong_defaults(tree.get("defaults") or [], own)


def _is_endless(node: Any, above: tuple[int, ...]) -> bool:
    if not isinstance(node, Mapping | list):
        return False
    inner = list(node.values()) if isinstance(node, Mapping) else node
    return id(node) in above or any(_is_endless(one, (*above, id(node))) for one in inner)


def _wrong_defaults(defaults: Any, own: str) -> Iterator[str]:
    if not isinstance(defaults, list):
        yield f"defaults is {type(defaults).__name__}, not a list of files"
        return
    for entry in defaults:
        if not isinstance(entry, str | Mapping) or (isinstance(entry, Mapping) and len(entry) != 1):
            yield f"{entry!r} in defaults names no file; write one name, or one GROUP: NAME, an entry"
        elif isinstance(entry, str) and entry.rpartition("/")[2] == own and entry != "_self_":
            yield f"{entry!r} in defaults is the file itself"
