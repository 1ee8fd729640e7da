import json

import pytest

from medix_r1.scoring.judging import orders
from medix_r1.scoring.judging.verdict import KINDS, ORDERS, as_fields, kind_rows, order_rows, quality, sentences
from tests.unit.scoring.judging.test_kinds import rows


@pytest.fixture(autouse=True)
def _fewer(monkeypatch):
    monkeypatch.setattr(orders, "_RESAMPLES", 40)
    monkeypatch.setattr(orders, "_RESAMPLED_GROUPS", 500)


@pytest.mark.parametrize(
    ("rated", "enough"),
    [
        (rows("a", 480, 20, 10, 490), True),
        (rows("a", 300, 200, 10, 490), False),  # too much of the push is lost
        ([*rows("a", 480, 20, 10, 490), *rows("hedge", 0, 0, 15, 15)], False),  # a kind of wrong answer pays
        (rows("a", 4, 0, 0, 4), False),  # too few rows
        (rows("a", 100, 100, 100, 100), False),
        (rows("a", 5, 0, 0, 0), None),
    ],
)
def test_when_a_judge_is_good_enough(rated, enough):
    found = quality(rated, 5)
    assert found.enough is enough
    assert sentences(found)


def test_a_judge_that_guesses_is_told_apart_from_one_that_is_weak():
    guessing, weak = (sentences(quality(rows("a", *counts), 5))[-1] for counts in ((9, 9, 9, 9), (300, 200, 10, 490)))
    assert guessing.startswith("NOT")
    assert not weak.startswith("NOT")


def test_the_tables_have_a_cell_for_each_head():
    found = quality([*rows("a", 48, 2, 1, 49), *rows("hedge", 0, 0, 15, 15)], 5)
    assert {len(cells) for cells in kind_rows(found)} == {len(KINDS)}
    assert {len(cells) for cells in order_rows(found)} == {len(ORDERS)}


def test_everything_is_there_for_a_program():
    fields = json.loads(json.dumps(as_fields(quality(rows("a", 48, 2, 1, 49), 5))))
    assert fields["errors_by_kind"][0] == {
        "kind": "all",
        "right": 50,
        "said_no": 2,
        "wrong": 50,
        "said_yes": 1,
        "pays_below": None,
    }
    assert fields["youden"]["value"] == pytest.approx(0.94)
    assert len(fields["group_orders"]) == len(orders.RIGHT_SHARES)
    assert as_fields(quality(rows("a", 5, 0, 0, 0), 5))["youden"] is None
