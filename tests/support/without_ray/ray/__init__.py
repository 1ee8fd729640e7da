"""Stands in for Ray where it is not installed: enough for `import verl`, and no actor can be started."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any
from unittest.mock import MagicMock

__version__ = "2.60.0"


def _made(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {}) if name[0].isupper() else MagicMock(name=name)


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _made(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith("ray.") else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


def remote(*given: Any, **settings: Any) -> Any:
    """Ray's decorator, with and without arguments."""
    return given[0] if len(given) == 1 and callable(given[0]) and not settings else lambda function: function


def __getattr__(name: str) -> Any:
    return _made(name)


sys.meta_path.insert(0, _Finder())
