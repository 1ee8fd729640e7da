"""Results of `medix-r1 eval` that commit 795c22a wrote: today's verbs read them and find the same numbers.

Two results of `medix-r1 demo suite`, cut to two tasks, without MMLU's questions. What that commit made of them lies in
tests/data/eval_795c22a_said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medix_r1 import cli
from medix_r1.evaluation.phases.fingerprint import with_key
from medix_r1.evaluation.results.records import read_run

DATA = Path(__file__).parents[2] / "data"
RESULTS = [DATA / "eval_795c22a" / name for name in ("before", "after")]


def medix(*arguments: str) -> None:
    result = CliRunner().invoke(cli.app, ["eval", *arguments])
    assert result.exit_code == 0, result.output


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict | list):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{key}.{name}")
    else:
        yield key, tree


def assert_same(written: Path, said: str) -> None:
    """Equal but for the last digits, which depend on the processor."""
    now, before = (
        dict(leaves(json.loads(file.read_text(encoding="utf-8"))))
        for file in (written, DATA / "eval_795c22a_said" / said)
    )
    assert len(before) > 30
    assert before.keys() <= now.keys()  # later versions may say more
    for key, value in before.items():
        assert now[key] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), key


def test_compare_finds_what_it_found(tmp_path: Path) -> None:
    medix("compare", *map(str, RESULTS), "--out", str(tmp_path))

    assert_same(tmp_path / "compare.json", "compare.json")


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_the_table_has_the_same_numbers(result: Path, tmp_path: Path) -> None:
    medix("table", str(result), "--out", str(tmp_path))

    assert_same(tmp_path / "table.json", f"{result.name}.json")


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_its_key_is_the_same(result: Path) -> None:
    """By its key the same command finds the folder again, and does only what is missing."""
    info, _ = read_run(result)

    assert with_key(info).key == info.key
