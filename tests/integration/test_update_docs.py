"""The figures in the README and docs/ are those of benchmarks/results/ and of the code."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from medix_r1.host.yaml_text import read_yaml

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
KNOWN = {"speed": {"rows": 12}}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_docs", ROOT / "scripts" / "update_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_says_what_its_data_say(script: ModuleType) -> None:
    assert [str(page.relative_to(ROOT)) for page in script.outdated()] == [], "run: make docs"


def test_a_figure_is_written_anew_and_nothing_else(script: ModuleType) -> None:
    page = "a <!-- {{ speed.rows }} -->{}<!-- end --> b\n<!-- {{ 'x\\ny' }} -->{}<!-- end -->\nc"
    filled = script.fill(page.replace("{}", "0"), KNOWN)
    assert filled == page.replace("{}", "12", 1).replace("{}", "\nx\ny\n")
    assert script.fill(filled, KNOWN) == filled


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("a <!-- {{ speed.row }} -->1<!-- end -->", "no attribute 'row'"),
        ("a <!-- {{ sped.rows }} -->1<!-- end -->", "'sped' is undefined"),
        ("a <!-- {{ speed.rows | }} -->1<!-- end -->", "speed.rows"),
        ("a <!-- {{ speed.rows }} -->1", "needs one"),
        ("a <!-- {{ speed.rows }} -->1 <!-- {{ speed.rows }} -->1<!-- end -->", "needs one"),
        ("a 1<!-- end -->", "needs one"),
        ("- <!-- {{ speed.rows }} -->1<!-- end --> rows", "a word must stand before"),
    ],
)
def test_a_quotation_that_cannot_be_filled_is_an_error(script: ModuleType, page: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        script.fill(page, KNOWN)


def measurements(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in json.loads(path.read_text(encoding="utf-8")).items():
        for entry in part if isinstance(part, list) else [part]:
            yield name, entry


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_measurement_says_where_it_comes_from(path: Path) -> None:
    for name, entry in measurements(path):
        assert {"command", "machine", "date"} <= entry.keys(), name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry["date"]), name


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_file_of_results_is_quoted(script: ModuleType, path: Path) -> None:
    expressions = [match[1] for page in script.PAGES for match in script._QUOTE.finditer(page.read_text("utf-8"))]
    assert any(re.search(rf"\b{path.stem}\b", expression) for expression in expressions)


def test_every_cell_of_the_comparison_says_what_was_read_and_when() -> None:
    compared = read_yaml(ROOT / "docs" / "compared.yaml")

    assert all(isinstance(one["read"], date) for one in compared["projects"].values())
    for row in compared["features"]:
        assert list(row["cells"]) == list(compared["projects"]), row["feature"]
        for cell in row["cells"].values():
            assert cell.keys() == {"is", "says", "source"}
            assert cell["is"] in ("yes", "partly", "no", "unknown")
            assert cell["says"].strip()
            assert cell["source"].strip()
