"""Loads user code that a config references: `package.module.Name`, `module:name` or `./file.py:name`.

A file is imported as a submodule of this module, under a name that encodes its path. So its folder is not added to
`sys.path`, and files beside it shadow no other modules. Everything that imports by name (Hydra, pickle in a spawned
process or a Ray worker, verl) can import it in any process, because `_Finder` resolves such names.

A run loads copies of its files (`keep`), named by a hash of their content. All nodes see the copies, and editing the
original does not change a running job.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from medix_r1.errors import ConfigError
from medix_r1.host.files import atomic_file

_DOTTED = ("_target_", "optimizer_impl")  # config keys whose values Hydra or verl imports, by dotted names only
_KEYS = (*_DOTTED, "function", "plugins")  # config keys whose values are references, or lists of references
_DIGITS = 8  # hexadecimal digits of the hash in a copy's name
PLUGINS = "MEDIX_R1_PLUGINS"  # environment variable: JSON list of modules and files
__path__: list[str] = []  # makes this module a package for the import system


class _Finder(MetaPathFinder):
    """Resolves `medix_r1.user_code.PATH`, where PATH is the percent-encoded path of a file."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith(f"{__name__}."):
            return None
        return spec_from_file_location(fullname, unquote(fullname.removeprefix(f"{__name__}.")))


sys.meta_path.append(_Finder())


def is_file(reference: str) -> bool:
    """Whether a reference names a file."""
    return _split(reference)[0].endswith(".py")


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference, where it may also be a word of ours."""
    return ":" in text or "." in text


def _split(reference: str) -> tuple[str, str]:
    """Split a reference into module or file, and name; a missing part is empty."""
    if reference.endswith(".py"):
        return reference, ""
    where, _, name = reference.rpartition(":")
    return where, name


def _joined(where: str, name: str) -> str:
    return f"{where}:{name}" if name else where


def _path(where: str) -> Path:
    try:
        return Path(os.path.abspath(Path(where).expanduser()))
    except RuntimeError:  # the home of a user that there is not
        return Path(os.path.abspath(where))


def absolute(reference: str) -> str:
    """The reference with the absolute path of its file; a relative path starts in the current directory."""
    where, name = _split(reference)
    return _joined(str(_path(where)), name) if is_file(reference) else reference


def dotted(reference: str) -> str:
    """The dotted name under which a reference can be imported."""
    where, name = _split(reference)
    if is_file(reference):
        where = f"{__name__}.{quote(str(_path(where))).replace('.', '%2E')}"
    return f"{where}.{name}" if where and name else where or name


def load(reference: Any, key: str) -> Any:
    """Import and return the object that a reference names.

    Args:
        reference: a value of a config.
        key: its config key, for error messages.

    Raises:
        ConfigError: it is no reference, there is no such file, module or name, or importing it fails.
    """
    where, name = _split(reference) if isinstance(reference, str) else ("", "")
    if not where:  # package.module.Name
        where, _, name = name.rpartition(".")
    if not where or not name:
        raise ConfigError.of(key, "not-module-and-name", f"{reference!r} is neither module:name nor ./file.py:name")
    module = load_module(where, key)
    try:
        return functools.reduce(getattr, name.split("."), module)
    except AttributeError as error:
        near = difflib.get_close_matches(name, vars(module), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError.of(key, "not-loadable", f"{where} has no {name}{hint}") from error


def load_module(where: str, key: str) -> Any:
    """Import a module by its name, or a file by its path.

    Args:
        where: a value of a config.
        key: its config key, for error messages.

    Raises:
        ConfigError: it does not exist, or importing it fails.
    """
    if not is_file(where) and ("/" in where or where.startswith(".") or not where):
        raise ConfigError.of(key, "not-loadable", f"{where!r} is neither a module nor a .py file")
    if is_file(where) and not _path(where).is_file():
        hint = "a relative path starts where the command is typed"
        raise ConfigError.of(key, "no-such-file", f"{_path(where)} does not exist; {hint}")
    try:
        return importlib.import_module(dotted(where) if is_file(where) else where)
    except (Exception, SystemExit) as error:  # user code may raise anything
        raise ConfigError.of(
            key, "not-loadable", f"{where} cannot be imported ({_says(error, where)}){_hint(error, where)}"
        ) from error


def _says(error: BaseException, where: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(_path(where))]
    line = f", line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{line}"


def fault(error: BaseException) -> str | None:
    """Where code that is neither ours nor installed failed, in one line; None where the error is not of such code."""
    installed = (Path(__file__).parent, Path(sys.prefix), Path(sys.base_prefix))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in installed):
            says = " ".join(str(error).split())
            return (
                f"{path}, line {frame.lineno}, in {frame.name}: {type(error).__name__}: {says}; it says: {frame.line}"
            )
    return None


def _hint(error: BaseException, where: str) -> str:
    """How to fix a ModuleNotFoundError: of the named module itself, or of one beside the named file."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    first = error.name.partition(".")[0]
    if is_file(where):
        beside = _path(where).with_name(f"{first}.py").is_file() or _path(where).with_name(first).is_dir()
        return "; a file cannot import what lies beside it unless its folder is in PYTHONPATH" if beside else ""
    if where != error.name and not where.startswith(f"{error.name}."):
        return ""
    if first == "medix_r1":
        return ""
    file = f"./{where.replace('.', '/')}.py"
    return f"; put its folder into PYTHONPATH, or name the file: {file}:name (a plug-in without :name)"


def plugins() -> list[str]:
    """`run.plugins` of the run that this process belongs to."""
    named: list[str] = json.loads(os.environ.get(PLUGINS, "[]"))
    return named


def load_plugins() -> None:
    """Import `run.plugins`, which the launcher puts into the environment of every process of a run; safe to call again.

    Raises:
        ConfigError: as `load_module`.
    """
    for where in plugins():
        load_module(where, "run.plugins")


def digest(file: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def identity(reference: str) -> str:
    """The reference with its file's path replaced by stem and content hash; other references are unchanged.

    So equal files in different folders, and copies made by `keep`, have the same identity. A missing file keeps its
    name.
    """
    where, name = _split(reference)
    return _joined(_copy_name(_path(where)), name) if is_file(reference) else reference


def _copy_name(file: Path) -> str:
    if not file.is_file():
        return file.name
    ending = f"_{digest(file)[:_DIGITS]}"
    return f"{file.stem.removesuffix(ending)}{ending}.py"


def keep(reference: str, folder: Path) -> str:
    """Copy a reference's file into a folder, atomically and named by its content; returns a reference to the copy."""
    if not is_file(reference):
        return reference
    where, name = _split(reference)
    copy = folder.absolute() / _copy_name(_path(where))
    if not copy.exists():
        with atomic_file(copy) as temporary:
            temporary.write_bytes(_path(where).read_bytes())
    return _joined(str(copy), name)


def changed(tree: Any, change: Callable[[str], str]) -> Any:
    """A copy of a config of plain containers, with `change` applied to every reference to a file."""
    if isinstance(tree, Mapping):
        return {
            key: _changed_references(value, change) if key in _KEYS else changed(value, change)
            for key, value in tree.items()
        }
    return [changed(value, change) for value in tree] if isinstance(tree, list) else tree


def _changed_references(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value) if is_file(value) else value
    return (
        [_changed_references(entry, change) for entry in value] if isinstance(value, list) else changed(value, change)
    )


def files(tree: Any) -> list[Path]:
    """The files that a config of plain containers references, in order, without duplicates."""
    found: dict[Path, None] = {}

    def note(reference: str) -> str:
        found[_path(_split(reference)[0])] = None
        return reference

    changed(tree, note)
    return list(found)


def importable(tree: Any) -> Any:
    """A copy of a config of plain containers with dotted names where Hydra or verl imports: they take no other form."""
    if isinstance(tree, Mapping):
        return {
            key: dotted(value) if key in _DOTTED and isinstance(value, str) else importable(value)
            for key, value in tree.items()
        }
    return [importable(value) for value in tree] if isinstance(tree, list) else tree
