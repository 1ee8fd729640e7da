"""Refuse imports of heavy packages, so that a test that needs one fails with the line that asks for it."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

HEAVY = ("ray", "sentence_transformers", "torch", "transformers", "verl", "vllm")


class HeavyImportError(AssertionError):
    """A package is imported where it must not be."""


class Refusal(importlib.abc.Loader):
    """Looking for the package is allowed, as `doctor` does; running it is not."""

    def __init__(self, attempts: list[str]) -> None:
        self._attempts = attempts

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        self._attempts.append(spec.name)
        raise HeavyImportError(f"{spec.name} is imported here: a test that needs it belongs in tests/integration")

    def exec_module(self, module: ModuleType) -> None: ...


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, names: Iterable[str], attempts: list[str]) -> None:
        self._names, self._attempts = frozenset(names), attempts

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname)
        if spec is not None:
            spec.loader = Refusal(self._attempts)
        return spec


@contextmanager
def imports_refused(names: Iterable[str] = HEAVY) -> Iterator[list[str]]:
    """Let the import of each of these packages raise; give the names that were asked for, as code may go on without.

    Packages that were imported before stay usable.

    Raises:
        HeavyImportError: at the import.
    """
    attempts: list[str] = []
    finder = _Finder(names, attempts)
    sys.meta_path.insert(0, finder)
    try:
        yield attempts
    finally:
        sys.meta_path.remove(finder)
