"""Scores by group, the gap between the best and the worst, and its change between two results."""

import json
import random
from typing import Any

import pytest

from medix_r1.evaluation.results import comparison_text
from medix_r1.evaluation.results.compare import compare
from medix_r1.evaluation.results.gaps import gap, gap_change
from medix_r1.evaluation.results.groups import (
    ANSWER,
    EVERY_TASK,
    QUESTION,
    TAG,
    Breakdown,
    breakdowns,
    flat_rows,
    read_breakdowns,
    sheet,
    write,
)
from medix_r1.evaluation.results.records import Record, Vote
from medix_r1.models.rubric import Criterion
from tests.support.eval_run import info, record, write_result


def _rows(right: dict[str, float], each: int = 60, task: str = "rad_vqa", seed: int = 1) -> list[Record]:
    """Samples of groups by `sex` with these shares of right answers, two on each image."""
    chance, found = random.Random(seed), []
    for name, share in right.items():
        for n in range(each):
            score, group = float(chance.random() < share), f"{task}-{name}-{n // 2}"
            found.append(record(len(found), score, task=task, group=group, subgroups={"sex": name}))
    return found


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _of(found: list[Breakdown], task: str, column: str) -> Breakdown:
    (only,) = (each for each in found if (each.task, each.column) == (task, column))
    return only


def test_a_gap_that_is_there_is_found_with_its_worst_group() -> None:
    found = _of(breakdowns(info(), {"rad_vqa": _rows({"F": 0.4, "M": 0.8, "X": 0.7})}), "rad_vqa", "sex")
    assert [group.name for group in found.groups] == ["F", "M", "X"]
    assert all(group.score.interval for group in found.groups)
    assert (found.gap.best, found.gap.worst) == ("M", "F")
    estimate = found.gap.difference.estimate
    assert estimate.value == pytest.approx(_known(found.groups[1].score.value) - _known(found.groups[0].score.value))
    assert 0.0 < estimate.interval.low < estimate.value < estimate.interval.high <= 1.0
    assert _known(found.gap.p_holm) < 0.05


def test_among_many_equal_groups_a_gap_is_no_finding() -> None:
    """The best and the worst of twelve equal groups lie far apart; the interval knows that they were chosen."""
    found = 0
    for seed in range(6):
        rows = _rows({f"site {n}": 0.6 for n in range(12)}, each=30, seed=seed)
        each = _of(breakdowns(info(), {"rad_vqa": rows}), "rad_vqa", "sex").gap
        assert _known(each.difference.estimate.value) > 0.1
        found += each.difference.estimate.interval.low > 0.0
    assert found <= 1


def test_equal_scores_give_no_interval_of_zero_width() -> None:
    found = gap([1.0] * 30 + [0.0] * 30, ["a"] * 30 + ["b"] * 30, [str(n) for n in range(60)])
    assert found.difference.estimate.value == 1.0
    assert 0.7 < found.difference.estimate.interval.low < found.difference.estimate.interval.high <= 1.0
    alike = gap([1.0] * 60, ["a"] * 30 + ["b"] * 30, [str(n) for n in range(60)])
    assert {alike.best, alike.worst} == {"a", "b"}


def test_small_groups_are_neither_shown_nor_named() -> None:
    rows = _rows({"F": 0.5, "M": 0.5}) + _rows({"rare": 1.0, "rarer": 1.0}, each=5)
    found = breakdowns(info(extra={"subgroup_min": 6}), {"rad_vqa": rows})
    assert (_of(found, "rad_vqa", "sex").hidden, len(_of(found, "rad_vqa", "sex").groups)) == ((2, 10), 2)
    said = sheet(found, "m").markdown() + json.dumps(flat_rows(found))
    assert "rare" not in said
    assert "2 group(s)" in said


def test_a_column_of_several_tasks_is_also_taken_over_all_of_them() -> None:
    records = {task: _rows({"F": 0.5, "M": 0.9}, task=task) for task in ("rad_vqa", "path_vqa")}
    found = breakdowns(info(), records)
    assert _of(found, EVERY_TASK, "sex").groups[0].score.samples == 120
    gaps = [each.gap for each in found if each.gap]
    assert all(_known(each.p_holm) >= _known(each.difference.p) for each in gaps)


def test_closed_and_open_questions_stand_apart() -> None:
    kinds: list[dict[str, Any]] = [
        {"reference": "Yes"},
        {"reference": "effusion"},
        {"choices": ("a", "b")},
        {"answer_type": "CLOSED"},
    ]
    rows = [record(n, 1.0, **kinds[n % 4]) for n in range(80)]
    found = breakdowns(info(), {"rad_vqa": rows})
    assert [(g.name, g.score.samples) for g in _of(found, "rad_vqa", QUESTION).groups] == [("closed", 60), ("open", 20)]
    names = [group.name for group in _of(found, "rad_vqa", ANSWER).groups]
    assert names == ["closed", "options", "text", "yes or no"]
    assert all(each.gap is None for each in found)


def test_a_rubrics_tags_have_scores_of_their_own_and_every_mean_is_clipped() -> None:
    criteria = (
        Criterion("a", 4, ("axis:accuracy",)),
        Criterion("b", 4, ("axis:tone",)),
        Criterion("c", -9, ("axis:tone",)),
    )
    votes = tuple(Vote("judge", 1, float(value), "", "", place) for place, value in enumerate((1, 0, 1)))
    rows = [record(n, -5 / 8, task="healthbench", criteria=criteria, votes=votes) for n in range(25)]
    found = _of(breakdowns(info(), {"healthbench": rows}), "healthbench", TAG)
    assert [(group.name, group.score.value) for group in found.groups] == [("axis:accuracy", 1.0), ("axis:tone", 0.0)]


def test_compare_shows_how_the_gap_changes(tmp_path) -> None:
    first, second = (_rows({"F": share, "M": 0.8}, each=120) for share in (0.3, 0.8))
    found = compare((info(), {"rad_vqa": first}), (info("org/B"), {"rad_vqa": second}))
    (change,) = found.gaps
    assert change.first.worst == "F"
    assert _known(change.change.estimate.value) < -0.3
    assert change.change.estimate.interval.high < 0.0
    assert _known(change.p_holm) < 0.01
    assert "Gaps between groups" in comparison_text.markdown(found)
    paths = comparison_text.write(found, tmp_path)
    assert json.loads(paths[0].read_text())["gaps"][0]["column"] == "sex"


def test_the_same_result_twice_has_no_change() -> None:
    rows = _rows({"F": 0.3, "M": 0.8})
    (change,) = compare((info(), {"rad_vqa": rows}), (info(), {"rad_vqa": rows})).gaps
    assert (change.change.estimate.value, change.change.p) == (0.0, 1.0)
    assert gap_change([1.0], [0.0], ["a"], ["one"]).p is None


def test_groups_are_written_beside_the_table(tmp_path) -> None:
    folder = write_result(tmp_path / "r", info(), {"rad_vqa": _rows({"F": 0.4, "M": 0.8})})
    paths = write(read_breakdowns(folder), "org/model", folder)
    assert [path.name for path in paths] == ["groups.json", "groups.csv", "groups.md", "groups.png", "groups_dark.png"]
    assert "gap: M minus F (the worst)" in paths[2].read_text()
