"""Any value in any column: a row is taken, or rejected with a short reason; nothing else is raised."""

import datetime
import decimal
import random

import pytest

from medix_r1.data.check import RowRules, check_row
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.row import RawRow, RowRejected
from medix_r1.data.sources.base import FIELDS, Reading, known_columns
from medix_r1.data.sources.look import look
from medix_r1.errors import ConfigError
from medix_r1.images.rules import ImageRules
from tests.unit.data.support import encoded, picture

PNG = encoded(picture(1))
PLAIN = {"question": "Which lung?", "answer": "left", "tag": "X_RAY", "images": PNG}
VALUES = [
    *(
        None,
        "",
        " ",
        "x",
        "\0",
        "\udcff",
        "é" * 300,
        "[",
        "[]",
        "[[]]",
        "{",
        "{}",
        "[1, 2",
        "['a' 'b']",
        "[{'role': 1}]",
    ),
    *(
        "[" * 5000,
        "{" * 5000,
        "'" * 9999,
        "/9j/" + "A" * 100,
        "data:,",
        "data:image/png;base64,A",
        "A" * 100_000,
        "<image 99>",
    ),
    *(0, 1, -1, 10**30, 1.5, float("nan"), float("inf"), True, False, b"", b"\xff", PNG, PNG[:50]),
    *([], [None], [[]], [{}], {}, {"a": None}, {"a": {"b": []}}, {1: 2}, [1, "a", None], ["a", ["b"]], {"bytes": 5}),
    *([{"from": "human"}], [{"role": "user", "content": [{"type": "image"}]}], [{"role": [], "content": 3}]),
    *({"text": ["a"], "label": ["x", "y"]}, {"A": {}, "B": []}, [{"letter": None}], {"": "a", " ": "b"}),
    *(
        datetime.date(2020, 1, 2),
        datetime.timedelta(1),
        decimal.Decimal("1.50"),
        object(),
        complex(1, 2),
        {"a"},
        ("a", "b"),
    ),
]


@pytest.fixture(scope="module")
def counter(backbone):
    return PromptCounter(backbone)


def try_row(record, counter, root):
    rules, told = RowRules(image=ImageRules(), default_source="mine"), []
    for row in Reading(known_columns(), turns="each", system="prepend").rows(record, "rows.jsonl:1", root):
        assert isinstance(row, RawRow)
        try:
            check_row(row, rules, counter)
        except RowRejected as problem:
            told.append(problem.detail)
    assert all(0 < len(detail) < 400 for detail in told)


@pytest.mark.parametrize("field", FIELDS)
def test_any_value_in_one_column(field, counter, tmp_path):
    for value in VALUES:
        name = "conversations" if field == "conversation" else field
        try_row({**PLAIN, name: value}, counter, str(tmp_path))


def test_any_values_in_all_columns(counter, tmp_path):
    chosen = random.Random(1)
    names = [names[0] for names in known_columns().values()]
    for _ in range(400):
        record = {name: chosen.choice(VALUES) for name in chosen.sample(names, 4)}
        try_row({**PLAIN, **record}, counter, str(tmp_path))


def test_a_look_at_any_values_is_an_answer_too():
    for value in VALUES:
        try:
            notes = look([{**PLAIN, "images": None, "figure": value}], Reading(known_columns()), "x", is_whole=True)
        except ConfigError as error:
            notes = [str(error)]
        assert all(len(note) < 400 for note in notes)
