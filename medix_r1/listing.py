"""`medix-r1 list`: lists the config groups and the choices of each, with the first comment line of its YAML file.

A group is a folder of YAML files below one of three roots: configs/ (training), configs/eval/ and configs/prepare/.
Groups of the last two have their path below configs/ as name: `medix-r1 eval task=NAME` chooses in eval/task.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from medix_r1.config import config_dir
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.yaml_text import read_yaml
from medix_r1.untrusted import one_line

_VERBS = {"eval/": "medix-r1 eval ", "prepare/": "medix-r1 data prepare "}  # of training: medix-r1 train
_BASES = ("model/base", "recipe")  # chosen only in the defaults lists of other files
YOURS = "A group of your own."


@dataclass(frozen=True)
class Choice:
    """One YAML file of a group; `line` is None where the file does not begin with a comment."""

    name: str
    line: str | None
    file: Path


@dataclass(frozen=True)
class Group:
    """A folder of choices."""

    name: str
    line: str
    choices: tuple[Choice, ...]

    @property
    def use(self) -> str:
        """What a user types to choose NAME in this group."""
        if self.name in _BASES:
            return f"defaults: [/{self.name}: NAME]"
        for prefix, verb in _VERBS.items():
            if self.name.startswith(prefix):
                return f"{verb}{self.name.removeprefix(prefix)}=NAME"
        return f"medix-r1 train {'+' if self.line == YOURS else ''}{self.name}=NAME"


def show(name: str | None, config_dirs: Sequence[Path], console: Console, *, as_json: bool = False) -> None:
    """Print all groups, or the choices of one.

    Raises:
        ConfigError: there is no such group, or a folder of `config_dirs` does not exist.
    """
    known = groups(config_dirs)
    group = find(name, known) if name is not None else None
    if as_json:
        console.print_json(json.dumps(_choices(group) if group else _overview(known)), highlight=False)
        return
    if group:
        rows = [(c.name, c.line or "(its file does not begin with a comment)") for c in group.choices]
    else:
        rows = [(g.name, f"{len(g.choices):>2}  {g.line}") for g in known]
    width = max(len(first) for first, _ in rows)
    last = f"To take one: {group.use}" if group else "The choices of one: medix-r1 list GROUP"
    for line in [*(f"{first:<{width}}  {rest}" for first, rest in rows), "", last]:
        console.print(escape(line), highlight=False)


def _overview(known: Sequence[Group]) -> list[dict[str, object]]:
    return [{"group": g.name, "line": g.line, "use": g.use, "choices": [c.name for c in g.choices]} for g in known]


def _choices(group: Group) -> list[dict[str, object]]:
    return [{"name": choice.name, "line": choice.line, "file": str(choice.file.absolute())} for choice in group.choices]


def groups(config_dirs: Sequence[Path] = ()) -> list[Group]:
    """All groups, those of training first; in each group our choices, then those in a user's folders.

    If both have a file of the same name, Hydra takes ours, so only ours is listed.

    Raises:
        ConfigError: a folder of `config_dirs` does not exist.
    """
    if missing := [folder for folder in config_dirs if not folder.is_dir()]:
        raise ConfigError(
            [
                Problem(f"--config-dir {folder}", "no-such-folder", "there is no such folder; give one that exists")
                for folder in missing
            ]
        )
    root = config_dir()
    lines: dict[str, str] = read_yaml(root / "groups.yaml")
    files: dict[str, dict[str, Path]] = {}
    for group, file in [*_files(root), *(pair for folder in config_dirs for pair in _users_files(folder, root))]:
        files.setdefault(group, {}).setdefault(file.stem, file)
    names = sorted(files, key=lambda name: (name.startswith(tuple(_VERBS)), name))
    return [
        Group(
            name,
            lines.get(name, YOURS),
            tuple(Choice(stem, line_of(file), file) for stem, file in files[name].items()),
        )
        for name in names
    ]


def find(name: str, known: Sequence[Group]) -> Group:
    """The group of a name, or the only one whose last part is the name: `task` finds eval/task.

    Raises:
        ConfigError: there is no such group; the message has the nearest name.
    """
    exact = [group for group in known if group.name == name]
    ending = [group for group in known if group.name.endswith(f"/{name}")]
    if len(found := exact or ending) == 1:
        return found[0]
    words = {word: group.name for group in known for word in (group.name.rpartition("/")[2], group.name)}
    near = difflib.get_close_matches(name, words, n=1, cutoff=0.5)
    advice = f"did you mean {words[near[0]]}?" if near else f"known: {', '.join(group.name for group in known)}"
    raise ConfigError.of(name, "no-such-group", f"no such group; {advice}")


def line_of(file: Path) -> str | None:
    """The first line of a YAML file's head comment that is no Hydra directive and no command; None without one."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.strip() and not line.startswith("#"):
            return None
        text = line.lstrip("# ").rstrip()
        if text and not text.startswith(("@package", "medix-r1 ")):
            return one_line(text)
    return None


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """(group, file) for each YAML file below a root, except the files in the three roots, which are no choices."""
    for file in sorted(root.rglob("*.yaml")):
        group = file.parent.relative_to(root).as_posix()
        if group != "." and f"{group}/" not in _VERBS:
            yield group, file


def _users_files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """(group, file) for a user's folder; a group such as judge/ may belong to both training and evaluation."""
    for group, file in _files(folder):
        of_evaluation = (root / "eval" / group).is_dir()
        if of_evaluation:
            yield f"eval/{group}", file
        if not of_evaluation or (root / group).is_dir():
            yield group, file
