"""Finds, in our sources, what we use of packages whose insides may change with any version.

Imports and calls of verl and its own world are looked at whether private or not: none of it is promised to stay. Of
Hydra and inspect only what is private is, and what is derived from or replaced.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[4]
UNSTABLE = ("verl", "vllm", "transfer_queue", "ray")  # every import counts
WATCHED = (*UNSTABLE, "hydra", "inspect_ai")
FOLDERS = ("medix_r1", "tools", "scripts")
_PRIVATE = re.compile(r"_(?!_)\w*[a-zA-Z]\w*$")
_WORDS = re.compile(r"[A-Za-z]{3}")
_TEXT_METHODS = {
    "startswith",
    "endswith",
    "split",
    "partition",
    "rpartition",
    "removeprefix",
    "search",
    "match",
    "compile",
}


@dataclass(frozen=True, order=True)
class Found:
    """A use of something of theirs: the file, what it is, and how it was recognised."""

    ours: str
    name: str
    how: str


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every Python file of ours, by its path below the repository."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> dict[str, str]:
    """Local name → dotted name of everything that a file imports, wherever in the file."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(ours: str, tree: ast.Module) -> Iterator[Found]:
    """Names of verl's world that a file imports or reads from a module; private names of the others."""
    local = imports(tree)
    names = set(local.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            if root in local and rest.replace(".", "").isidentifier():
                names.add(f"{local[root]}.{rest}")
    for name in names:
        package = name.partition(".")[0]
        private = any(_PRIVATE.match(part) for part in name.split("."))
        if (package in UNSTABLE and "." in name) or (package in WATCHED and private):
            yield Found(ours, name, "imported")


def derived(ours: str, tree: ast.Module) -> Iterator[Found]:
    """Classes of theirs that ours derive from."""
    local = imports(tree)
    for node in ast.walk(tree):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            root, _, rest = ast.unparse(base).partition(".")
            name = ".".join(filter(None, [local.get(root, root), rest]))
            if name.partition(".")[0] in WATCHED:
                yield Found(ours, name, "subclassed")


def replaced(ours: str, tree: ast.Module) -> Iterator[Found]:
    """Attributes of their modules and classes that are set: by assignment, `setattr` or our `replace_once`."""
    local = {name: full for name, full in imports(tree).items() if full.partition(".")[0] in WATCHED}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            root, _, rest = ast.unparse(node).partition(".")
            if root in local:
                yield Found(ours, f"{local[root]}.{rest}", "replaced")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "replace_once"):
            owner, name = ast.unparse(node.args[0]), node.args[1]
            if owner in local and isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Found(ours, f"{local[owner]}.{name.value}", "replaced")


def private_attributes(trees: dict[str, ast.Module]) -> Iterator[Found]:
    """Private names that are read from objects, or looked up as texts, and that nothing of ours defines."""
    defined = set().union(*map(_defined, trees.values()))
    for ours, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                name: object = node.attr
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr") and len(node.args) > 1:
                name = getattr(node.args[1], "value", None)
            else:
                continue
            if isinstance(name, str) and _PRIVATE.match(name) and name not in defined:
                yield Found(ours, name, "private")


def _defined(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def error_texts(ours: str, tree: ast.Module) -> Iterator[Found]:
    """Texts that are looked for in an error: in functions that make one a text, or are given one as `error`."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and _has_error_text(function):
            for node in ast.walk(function):
                yield from (Found(ours, text, "matched") for text in _looked_for(node) if _WORDS.search(text))


def _has_error_text(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    parameters = {argument.arg: ast.unparse(argument.annotation or ast.Constant("")) for argument in function.args.args}
    caught = {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name}
    caught |= {name for name, kind in parameters.items() if kind.endswith(("Exception", "Error"))}
    texts = {f"str({name})" for name in caught}
    made = any(isinstance(node, ast.Call) and ast.unparse(node) in texts for node in ast.walk(function))
    return made or parameters.get("error") == "str"


def _looked_for(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        yield from _constants(node.left)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TEXT_METHODS:
        for argument in node.args[:1]:
            yield from _constants(argument)


def _constants(node: ast.expr) -> Iterator[str]:
    for part in node.elts if isinstance(node, ast.Tuple) else (node,):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
