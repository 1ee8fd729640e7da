"""The verbs that read results, as a user calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from medix_r1.evaluation.cli_numbers import app
from medix_r1.evaluation.results.comparison_text import NOTHING_TO_COMPARE
from tests.support.eval_run import info, scores, synthetic, write_result


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    few = {"rad_vqa": synthetic(1, 0.4)["rad_vqa"]}, {"rad_vqa": synthetic(2, 0.8)["rad_vqa"]}
    return write_result(folder / "a", info("org/A"), few[0]), write_result(folder / "b", info("org/B"), few[1])


@pytest.mark.parametrize("verb", ["table", "compare", "audit", "judges", "looking", "submit", "blind"])
def test_every_verb_shows_an_example(verb: str) -> None:
    assert f"medix-r1 eval {verb}" in " ".join(call(verb, "--help").output.split())


def test_table_shows_and_writes(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shown = call("table", runs[0], "--out", tmp_path)
    assert shown.exit_code == 0
    assert "rad_vqa" in shown.output
    assert "macro, 1 " in shown.output
    names = {p.name for p in tmp_path.iterdir()}
    assert names >= {"scores.png", "table.csv", "table.json", "table.md"}
    assert {name for name in names if name.startswith("groups")} == {
        f"groups{end}" for end in (".csv", ".json", ".md", ".png", "_dark.png")
    }


def test_compare_writes_only_where_told(runs: tuple[Path, Path], tmp_path: Path) -> None:
    before = sorted(runs[0].iterdir())
    assert "org/B minus org/A" in call("compare", *runs).output
    assert sorted(runs[0].iterdir()) == before
    shown = call("compare", *runs, "--out", tmp_path, "--examples", "0")
    assert "compare.json, compare.csv, compare.md, compare.png" in shown.output
    assert "reference:" not in shown.output


def test_audit_and_submit(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert "judge seed 1 / judge seed 2" in call("audit", runs[0], "--out", tmp_path / "audit").output
    assert (tmp_path / "audit" / "audit.csv").is_file()
    shown = call("submit", runs[0], "--out", tmp_path)
    assert shown.exit_code == 0
    assert ": mmlu_clinical_knowledge" in shown.output
    assert (tmp_path / "A.zip").is_file()


def test_blind_there_and_back(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shown = call("blind", *runs, "--out", tmp_path / "sheet", "--count", 5, "--no-pictures")
    assert "keep" in shown.output
    assert "cluster" in shown.output
    sheet = tmp_path / "sheet" / "sheet.csv"
    sheet.write_text(sheet.read_text("utf-8-sig").replace(",,\n", ",left,\n").replace(",,\r\n", ",left,\r\n"), "utf-8")
    back = call("blind", "--read", sheet, "--out", tmp_path / "result")
    assert back.exit_code == 0
    assert "org/A (first) against org/B (second)" in back.output
    assert (tmp_path / "result" / "preference.json").is_file()


@pytest.mark.parametrize("arguments", [[], ["one"], ["a", "b", "c"], ["a", "b", "--read", "x.csv"]])
def test_blind_wants_two_results_or_a_sheet(arguments: list[str]) -> None:
    assert call("blind", *arguments).exit_code == 2


def test_a_result_without_samples_is_shown_empty(tmp_path: Path) -> None:
    empty = write_result(tmp_path / "empty", info(), {"rad_vqa": []})
    assert call("table", empty).exit_code == 0
    none = write_result(tmp_path / "none", info(), {})
    assert call("table", none).exit_code == 0
    other = write_result(tmp_path / "other", info(), {"rad_vqa": scores([1.0])})
    assert NOTHING_TO_COMPARE in call("compare", none, other, "--out", tmp_path / "out").output
