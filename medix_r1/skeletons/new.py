"""Writes a skeleton into a user's folder: files of this package in which @NAME@ and @CLASS@ are filled in."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from medix_r1.config import config_dir
from medix_r1.errors import ConfigError
from medix_r1.skeletons.kinds import Kind

_HERE = Path(__file__).parent
_SUFFIX = ".txt"  # so that no tool takes a skeleton for code of the package
_NEXT = "next.txt"
_GROUPS = {"reward": "reward", "task": "eval/task", "algorithm": "algorithm", "recipe": "experiment"}


def make(kind: Kind, name: str, folder: Path, console: Console, *, force: bool) -> None:
    """Write the files and print what to type next.

    Args:
        kind: what it is.
        name: of the files, of the choice in the config group, and (as CamelCase) of the class.
        folder: the user's own; it is made where it is not there.
        console: prints.
        force: replace files that are there.

    Raises:
        ConfigError: the name is none, or taken, or files are there already.
    """
    _check_name(kind, name, folder)
    files = {folder / target: text for target, text in skeleton(kind, name).items() if target != _NEXT}
    if not force and (there := [str(path) for path in files if path.exists()]):
        says = f"{', '.join(there)} is there already; take another name, or --force to replace it"
        raise ConfigError.of("NAME", "already-there", says)
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError.of("--into", "not-writable", f"{path} cannot be written ({error.strerror})") from error
        console.print(f"wrote {escape(str(path))}", highlight=False)
    console.print(f"\nNext{'' if folder == Path() else f', in {escape(str(folder))}'}:", highlight=False)
    for line in skeleton(kind, name)[_NEXT].splitlines():
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def skeleton(kind: Kind, name: str) -> dict[str, str]:
    """Relative path → text of every file, the commands to type next among them."""
    root = _HERE / kind
    found = {}
    for path in sorted(path for path in root.rglob(f"*{_SUFFIX}") if path.is_file()):
        relative = path.relative_to(root).as_posix()
        target = relative if relative == _NEXT else relative.removesuffix(_SUFFIX)
        found[_filled(target, name)] = _filled(path.read_text(encoding="utf-8"), name)
    return found


def _filled(text: str, name: str) -> str:
    return text.replace("@NAME@", name).replace("@CLASS@", "".join(part.capitalize() for part in name.split("_")))


def _check_name(kind: Kind, name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        says = f"{name!r} is no name for a Python file: lower-case letters, digits and _, a letter first"
        raise ConfigError.of("NAME", "not-a-name", says)
    ours = config_dir() / _GROUPS[kind] / f"{name}.yaml"
    in_a_clone = folder / "configs" / _GROUPS[kind].rpartition("/")[2] / f"{name}.yaml"  # of an earlier `new`
    if ours.exists() and ours.resolve() != in_a_clone.resolve():
        says = f"medix-r1 has a {kind} {name}, which would be taken instead; choose another"
        raise ConfigError.of("NAME", "name-taken", says)
    elsewhere = [entry for entry in sys.path if entry and Path(entry).absolute() != Path.cwd()]
    if kind is not Kind.RECIPE and (
        name in sys.stdlib_module_names or PathFinder.find_spec(name, elsewhere) is not None
    ):
        says = f"a Python module is called {name}, and {name}.py would hide it; choose another"
        raise ConfigError.of("NAME", "name-taken", says)
