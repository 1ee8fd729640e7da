"""Agreement of judges with themselves, each other and people."""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.results.audit import NO_RATERS, audit, flat_rows, read_labels, sheet
from medix_r1.evaluation.results.records import Record, Vote
from tests.support.eval_run import record
from tests.support.problems import coded, codes


def voted(row: int, one: list[float | None], two: list[float | None] | None = None) -> Record:
    votes = [Vote("one", seed, value, "", "") for seed, value in enumerate(one)]
    votes += [Vote("two", None, value, "", "") for value in two or []]
    return record(row, 1.0, votes=tuple(votes))


def test_kappa_between_judges_is_that_of_the_textbook() -> None:
    """Cohen's table 20, 5, 10, 15 of 50 has kappa 0.4."""
    table = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 15
    rows = [voted(n, [a], [b]) for n, (a, b) in enumerate(table)]
    found = [one for one in audit({"rad_vqa": rows}) if {one.first, one.second} == {"one", "two"}]
    assert len(found) == 1
    assert found[0].agreement is not None
    assert found[0].agreement.kappa == pytest.approx(0.4)
    assert found[0].items == 50
    assert found[0].distance == pytest.approx(0.3)


def test_a_judges_seeds_are_compared_and_its_split_votes_are_ties() -> None:
    rows = [voted(0, [1.0, 1.0], [1.0]), voted(1, [0.0, 1.0], [0.0]), voted(2, [0.0, 0.0], [None])]
    found = {(one.first, one.second): one for one in audit({"rad_vqa": rows})}
    assert set(found) == {("one seed 0", "one seed 1"), ("one", "two")}
    assert found["one seed 0", "one seed 1"].items == 3
    assert (found["one", "two"].items, found["one", "two"].ties) == (1, 1)  # a failed vote is no value


def test_reports_are_compared_by_points() -> None:
    rows = [record(n, 0.6, task="mimic_cxr_report_generation", votes=_two(a, b)) for n, (a, b) in enumerate(_POINTS)]
    found = audit({"mimic_cxr_report_generation": rows})
    assert [(one.kind, one.items) for one in found] == [("report", 4)]
    assert found[0].agreement is not None
    assert found[0].agreement.categories == ("0", "3", "4", "5")
    assert found[0].agreement.share == 0.5
    assert found[0].distance == pytest.approx(0.1)


_POINTS = [(0.0, 0.0), (0.6, 0.8), (1.0, 0.8), (1.0, 1.0)]


def _two(a: float, b: float) -> tuple[Vote, ...]:
    return Vote("one", None, a, "", ""), Vote("two", None, b, "", "")


def test_one_vote_and_no_labels_are_no_audit() -> None:
    found = audit({"rad_vqa": [voted(0, [1.0])]})
    assert found == []
    assert sheet(found).notes == [NO_RATERS]
    assert flat_rows(found) == []


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl"])
def test_labels_of_people_are_compared_with_judges_and_the_final_score(tmp_path: Path, name: str) -> None:
    rows = [voted(0, [1.0]), voted(1, [0.0]), voted(2, [1.0])]
    lines = {
        "labels.csv": "id,label,answer\nrad_vqa-0000,yes,effusion\nrad_vqa-0001,0,\nrad_vqa-0002,No,effusion\n",
        "labels.jsonl": '{"id": "rad_vqa-0000", "label": 1}\n{"id": "rad_vqa-0001", "label": "no"}\n'
        '{"id": "rad_vqa-0002", "label": 0}\n',
    }
    (tmp_path / name).write_text(lines[name], encoding="utf-8")
    labels = read_labels(tmp_path / name, {"rad_vqa": rows})
    assert labels == {"rad_vqa-0000": 1.0, "rad_vqa-0001": 0.0, "rad_vqa-0002": 0.0}
    found = {(one.first, one.second): one for one in audit({"rad_vqa": rows}, labels)}
    assert set(found) == {("one", "labels"), ("final score", "labels")}
    judged = found["one", "labels"].agreement
    assert judged is not None
    assert judged.share == pytest.approx(2 / 3)


def test_labels_that_do_not_fit_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label,answer\nnobody,1,\nrad_vqa-0000,7,\nrad_vqa-0000,1,pneumonia\n", encoding="utf-8")
    with pytest.raises(DataError, check=coded("labels-refused", "'nobody'", "'7'")) as caught:
        read_labels(path, {"rad_vqa": [voted(0, [1.0])]})
    assert codes(caught.value) == [
        (f"{path}: label 1", "no-such-sample"),
        (f"{path}: label 2", "not-a-label"),
        (f"{path}: label 3", "another-answer"),
    ]
