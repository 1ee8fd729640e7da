"""What keeps torch and verl out of the fast tier."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.import_guard import HEAVY, HeavyImportError, Refusal, imports_refused

NAME = "heavy_package_of_this_test"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return NAME


def test_an_import_fails_by_name_and_is_noted(package: str) -> None:
    with imports_refused([package]) as attempts:
        with pytest.raises(HeavyImportError, match=f"{package} is imported here"):
            importlib.import_module(package)
        assert attempts == [package]
    assert package not in sys.modules
    assert importlib.import_module(package).__name__ == package


def test_looking_for_a_package_is_no_import(package: str) -> None:
    with imports_refused([package]) as attempts:
        spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    assert attempts == []


def test_a_package_that_is_not_installed_is_missing_as_ever() -> None:
    with imports_refused(["no_such_package_here"]), pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_package_here")


@pytest.mark.parametrize("name", HEAVY)
def test_this_tier_refuses(name: str) -> None:
    if name in sys.modules:
        pytest.skip("a slower tier ran in this process before")
    spec = find_spec(name)
    assert spec is None or isinstance(spec.loader, Refusal)
