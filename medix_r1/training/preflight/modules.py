"""Checks modules and names that verl imports only when a run has started, in their files, without importing them."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from medix_r1.errors import Problem

_PACKAGE = "pkg://"
_SAMPLER = "trainer.v1.sampler.custom_sampler"


def module_problems(config: DictConfig) -> Iterator[Problem]:
    """The sampler's file and class, and the libraries of the model, that are not there."""
    sampler = config.trainer.v1.sampler.custom_sampler
    if sampler.path is not None:
        file = _file(sampler.path)
        if file is None:
            yield Problem(f"{_SAMPLER}.path", "not-loadable", f"{sampler.path} is neither a module nor a file")
        elif sampler.name is not None and sampler.name not in (names := sorted(defined(file))):
            near = difflib.get_close_matches(sampler.name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Problem(f"{_SAMPLER}.name", "not-loadable", f"{sampler.path} has no {sampler.name}{hint}")
    named = config.actor_rollout_ref.model.external_lib
    for library in named if isinstance(named, ListConfig) else [named]:
        if library is not None and _file(f"{_PACKAGE}{library}") is None:
            says = f"there is no module {library}; put its folder into PYTHONPATH, or mend the name"
            yield Problem("actor_rollout_ref.model.external_lib", "not-loadable", says)


def _file(path: str) -> Path | None:
    """The file of `pkg://package.module`, `file://path` or a path, as verl reads them; None if it is not there."""
    if not path.startswith(_PACKAGE):
        file = Path(path.removeprefix("file://")).expanduser()
        return file if file.is_file() else None
    try:
        spec = find_spec(path.removeprefix(_PACKAGE))
    except (ImportError, ValueError, AttributeError):  # a package above it does not exist, or the name is empty
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


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
