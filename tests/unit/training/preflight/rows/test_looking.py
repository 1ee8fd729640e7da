"""Validation rows that `run.looking` cannot ask again: found before the run, not at its first validation."""

import json

import pytest

from medix_r1.training.preflight.rows.looking import looking_rows_problems
from tests.support.configs import set_in
from tests.support.problems import codes
from tests.unit.training.preflight.rows.test_data_rows import PICTURE, parquet, row

SHARE, KINDS = "run.looking.share", "run.looking.kinds"
OTHER = PICTURE | {"bytes": b"another picture's file"}
TEXT = {"images": [], "prompt": [{"role": "user", "content": "Which side?"}]}


@pytest.fixture
def problems(tmp_path):
    def found(rows, **values):
        file = parquet(tmp_path / "val.parquet", rows)
        config = set_in("experiment=nano_cpu", **{"data.val_files": [str(file)], SHARE: 1.0} | values)
        return codes(looking_rows_problems(config))

    return found


def test_two_pictures_are_enough(problems):
    assert problems([row(0), row(1, images=[OTHER]), row(2, **TEXT)]) == []


def test_no_row_shows_a_picture(problems):
    rows = [row(number, **TEXT) for number in range(3)]

    assert problems(rows) == [(SHARE, "no-pictures")]
    assert problems(rows, **{SHARE: 0}) == []


def test_rows_that_cannot_be_told_apart(problems):
    assert problems([row(0, extra={"row_id": "same"}), row(1, extra={"row_id": "same"})]) == [(SHARE, "no-pictures")]


def test_one_picture_has_no_other(problems):
    rows = [row(0), row(1)]

    assert problems(rows) == [(KINDS, "nothing-to-shuffle")]
    assert problems(rows, **{KINDS: ["blank"]}) == []
    assert problems([row(0), row(1, images=[OTHER])], **{SHARE: 0.5}) == [(KINDS, "nothing-to-shuffle")]


def test_lines_are_read_too(tmp_path, problems):
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").write_bytes(b"b")
    file = tmp_path / "val.jsonl"

    def said(*names):
        rows = [row(number, images=[str(tmp_path / name)]) for number, name in enumerate(names)]
        file.write_text("\n".join(map(json.dumps, rows)))
        return problems([row()], **{"data.val_files": str(file)})

    assert said("a.png", "b.png") == []
    assert said("a.png", "a.png") == [(KINDS, "nothing-to-shuffle")]


def test_a_file_of_another_layout_is_reported_elsewhere(tmp_path, problems):
    (tmp_path / "x.jsonl").write_text('{"problem": "p"}\n')

    assert problems([row()], **{"data.val_files": str(tmp_path / "x.jsonl")}) == []
    assert problems([row()], **{"data.val_files": str(tmp_path / "gone.parquet")}) == []
