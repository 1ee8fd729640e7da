"""The same replies under each judge: scores, shifts, agreement."""

from dataclasses import replace

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.results.judges import (
    HEADLINE,
    JudgeReport,
    JudgeRow,
    agreement_sheet,
    look,
    read_judges,
    sheet,
    write,
)
from medix_r1.evaluation.results.records import Record, Vote
from medix_r1.models.rubric import Criterion
from tests.support.eval_run import info, record, write_result
from tests.support.problems import coded


def _voted(row: int, **values: float | None) -> Record:
    """A sample judged once by each judge; its own score is the majority's."""
    votes = tuple(Vote(judge, 1, value, "", "") for judge, value in values.items())
    known = [vote.value for vote in votes if vote.value is not None]
    return record(row, float(sum(known) / len(known) > 0.5), votes=votes)


def _row(found: JudgeReport, judge: str, task: str = HEADLINE) -> JudgeRow:
    (only,) = (row for row in found.rows if (row.judge, row.task) == (judge, task))
    return only


def test_each_judge_has_its_headline_and_its_shift() -> None:
    rows = [_voted(n, a=1.0, b=1.0, c=float(n % 4 > 0)) for n in range(40)]
    found = look([(info(), {"rad_vqa": rows})])
    assert [_row(found, judge).score.value for judge in "abc"] == [1.0, 1.0, 0.75]
    assert _row(found, "c").shift.estimate.value == -0.25
    assert _row(found, "c").shift.estimate.interval.high < 0
    assert {(each.first, each.second) for each in found.agreements} == {("a", "b"), ("a", "c"), ("b", "c")}
    within = {row[0]: row[-1] for row in sheet(found).rows if row[1] == HEADLINE}
    assert within == {"a": "yes", "b": "yes", "c": "no"}


def test_results_of_the_same_replies_are_put_together(tmp_path) -> None:
    first = {"rad_vqa": [_voted(n, a=float(n % 2)) for n in range(30)]}
    again = {"rad_vqa": [_voted(n, b=float(n % 2 or n < 6)) for n in range(30)]}
    again["rad_vqa"][29] = replace(again["rad_vqa"][29], reply="another")
    folders = [write_result(tmp_path / name, info(), rows) for name, rows in (("a", first), ("b", again))]
    found = read_judges(folders)
    assert _row(found, "b").shift.estimate.value == pytest.approx(3 / 29)
    assert found.other_replies == 1
    assert found.agreements[0].agreement.kappa == pytest.approx(0.793, abs=0.01)
    paths = write(found, tmp_path / "out")
    assert all(path.is_file() for path in paths)
    assert "kappa" in agreement_sheet(found).markdown()


def test_one_judge_alone_is_looked_at_vote_by_vote() -> None:
    found = look([(info(), {"rad_vqa": [record(n, 1.0) for n in range(5)]})])
    assert {row.judge for row in found.rows} == {"judge seed 1", "judge seed 2", "judge seed 3"}
    assert len(found.agreements) == 3


def test_one_judge_of_two_results_keeps_both_names() -> None:
    rows = {"rad_vqa": [_voted(n, a=float(n % 2)) for n in range(10)]}
    found = look([(info(), rows), (info(key="fedcba9876"), rows)])
    assert len({row.judge for row in found.rows}) == 2


def test_even_votes_of_a_judge_are_no_verdict() -> None:
    both = tuple(Vote(judge, seed, value, "", "") for judge in "ab" for seed, value in ((1, 1.0), (2, 0.0)))
    rows = [record(0, 1.0, votes=both), _voted(1, a=1.0, b=1.0)]
    assert _row(look([(info(), {"rad_vqa": rows})]), "a").score.samples == 1


def test_criteria_are_judged_each_by_itself() -> None:
    criteria = (Criterion("a", 1), Criterion("b", 1))
    votes = [Vote(judge, 1, float(judge == "x" or place == 0), "", "", place) for judge in "xyz" for place in (0, 1)]
    rows = [record(n, 0.5, task="healthbench", criteria=criteria, votes=tuple(votes)) for n in range(4)]
    found = look([(info(), {"healthbench": rows})])
    assert [_row(found, judge, "healthbench").score.value for judge in "xyz"] == [1.0, 0.5, 0.5]
    assert {(each.kind, each.items) for each in found.agreements} == {("criterion", 8)}


def test_replies_of_two_models_and_a_single_vote_are_refused(tmp_path) -> None:
    one = write_result(tmp_path / "one", info(), {"rad_vqa": [_voted(0, a=1.0)]})
    two = write_result(tmp_path / "two", info("org/Other"), {"rad_vqa": [_voted(0, b=1.0)]})
    with pytest.raises(DataError, check=coded("other-replies", "org/Other")):
        read_judges([one, two])
    with pytest.raises(DataError, check=coded("one-rater")):
        read_judges([one])
