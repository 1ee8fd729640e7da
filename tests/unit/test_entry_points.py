"""Every entry point of pyproject.toml names something that exists; vLLM and verl only log an entry point that fails."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = [*PROJECT["scripts"].values(), *(t for group in PROJECT["entry-points"].values() for t in group.values())]


@pytest.mark.parametrize("target", TARGETS)
def test_an_entry_point_leads_somewhere(target: str) -> None:
    module, _, name = target.partition(":")
    path = ROOT / module.replace(".", "/")
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    tree = ast.parse(file.read_text(encoding="utf-8"))  # not imported: some load verl or vLLM

    assert not name or name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
