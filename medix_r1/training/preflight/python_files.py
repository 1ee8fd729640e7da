"""Finds the file of a module, and the names in it, without importing it."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

from medix_r1.host.folders import named_path

_PACKAGE = "pkg://"


def python_file(path: str) -> Path | None:
    """The file of `pkg://package.module`, `file://path` or a path, as verl reads them; None if it is not there."""
    if not path.startswith(_PACKAGE):
        file = named_path(path.removeprefix("file://"))
        return file if file.is_file() else None
    return module_file(path.removeprefix(_PACKAGE))


def module_file(name: str) -> Path | None:
    """The file (or folder) of a module; None if there is no such module. No package is imported, as torch would be."""
    if (there := getattr(sys.modules.get(name), "__file__", None)) is not None:
        return Path(there)
    first, *rest = name.split(".")
    try:
        spec = find_spec(first)
    except (ImportError, ValueError, AttributeError):  # the name is empty, for example
        return None
    if spec is None or (not rest and spec.origin is not None):
        return None if spec is None else Path(str(spec.origin))
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *rest)
        files = (base / "__init__.py", base.with_name(f"{base.name}.py"), *base.parent.glob(f"{base.name}.*.so"), base)
        if found := next((file for file in files if file.exists()), None):
            return found
    return None


def defined(file: Path) -> set[str]:
    """Names that a module's file defines or imports at its top level; empty if it is no Python."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names
