"""What a config changes of the recipe that its experiment was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1.host.yaml_text import read_yaml

_GROUP = "experiment"


@dataclass(frozen=True, slots=True)
class Changes:
    """Changed keys → (value of the recipe, value now), and the recipe's name."""

    recipe: str
    keys: Mapping[str, tuple[Any, Any]]


def changes(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Changes:
    """Compare a config with its recipe: the experiment that its own builds on, else that experiment as it stands.

    Values are compared before interpolations are filled in, so that a key is listed where it was changed.

    Raises:
        ConfigError: one of the two does not compose.
    """
    chosen = [word.partition("=")[2] for word in overrides if word.startswith((f"{_GROUP}=", f"+{_GROUP}="))]
    recipe = _base(chosen[-1], config_dirs) if chosen else None
    before = _values([f"{_GROUP}={recipe}"] if recipe else [], config_dirs)
    now = _values(overrides, config_dirs)
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key, _ABSENT) != now.get(key, _ABSENT))
    return Changes(recipe or "the defaults", {key: (before.get(key, _ABSENT), now.get(key, _ABSENT)) for key in keys})


class _Absent:
    def __repr__(self) -> str:
        return "(no such key)"


_ABSENT = _Absent()


def _base(name: str, config_dirs: Sequence[Path]) -> str:
    """The experiment that a file names in its defaults; itself if it names none."""
    for folder in (configs.config_dir(), *config_dirs):
        if (path := folder / _GROUP / f"{name}.yaml").is_file():
            tree = read_yaml(path) or {}
            named = list(_experiments(tree.get("defaults") or [])) if isinstance(tree, dict) else []
            return _base(named[-1], config_dirs) if named and named[-1] != name else name
    return name


def _experiments(defaults: Sequence[Any]) -> Iterator[str]:
    for entry in defaults:
        if isinstance(entry, str) and entry != "_self_":
            yield entry.removeprefix(f"/{_GROUP}/")
        elif isinstance(entry, dict):
            yield from (str(entry[key]) for key in (f"/{_GROUP}", _GROUP) if entry.get(key))


def _values(overrides: Sequence[str], config_dirs: Sequence[Path]) -> dict[str, Any]:
    tree = OmegaConf.to_container(configs.unresolved("train", overrides, config_dirs), resolve=False)
    assert isinstance(tree, dict)
    tree.pop("hydra", None)
    plain = {str(key): value for key, value in tree.items()}
    return {key: value for key, value in configs.flatten(plain) if not isinstance(value, Mapping)}
