"""Leaks by text, by image bytes and by near-equal images; nothing else; and the set without them."""

import json

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from medix_r1.data.files import sha256_of
from medix_r1.data.looking.leak_report import check
from medix_r1.data.prepared import read_index, read_manifest
from medix_r1.errors import ConfigError
from tests.support.problems import only
from tests.unit.data.support import encoded, picture, row, run_prepare, write_rows

LONG = "In this radiograph of the chest, which of the lobes shows the consolidation?"
OPTIONS = {
    "question": "Which drug is given first?",
    "images": [],
    "tag": None,
    "choices": ["Aspirin", "Heparin"],
    "answer": "a",
}


@pytest.fixture(scope="module")
def train(tmp_path_factory, backbone):
    folder = tmp_path_factory.mktemp("train")
    rows = [
        row(1),  # 1: equal bytes
        row(2),  # 2: re-encoded and smaller
        row(3, question=LONG),  # 3: long question, other picture
        row(4, question="What is shown?"),  # 4: short question, other picture: no leak
        row(5, images=[], tag=None, question="Name the largest organ of the body."),  # 5: text
        row(6, images=[], tag=None, question="What is shown?"),  # 6: the test row with a picture asks it: no leak
        row(7, **OPTIONS),  # 7: same question, same options
        row(8, **{**OPTIONS, "choices": ["Aspirin", "Warfarin"]}),  # 8: other options: no leak
        row(9, images=[encoded(picture(90)), encoded(picture(9))]),  # 9: the second picture
    ]
    run_prepare(write_rows(folder, rows), folder / "out", backbone, "split.validation=0.3", "unit_rows=2")
    return folder / "out"


@pytest.fixture(scope="module")
def test_rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("test")
    small = encoded(picture(2).resize((72, 48)), "JPEG", quality=70)
    rows: list[dict[str, object]] = [
        {"question": "Anything?", "images": [encoded(picture(1))]},
        {"question": "Anything else?", "images": [small]},
        {"question": LONG.upper() + "  ", "images": [encoded(picture(30))]},
        {"question": "What is shown?", "images": [encoded(picture(40))]},
        {"question": "name the largest organ, of the body", "answer": "skin"},
        {"question": "Which drug is given first", "choices": ["heparin", "aspirin."]},
        {"question": "Nine?", "images": [encoded(picture(9), "WEBP", lossless=True)]},
        {"question": "Damaged", "images": [b"nothing"]},
    ]
    write_rows(folder / "task", rows, "some_task.jsonl")
    return folder


def test_every_kind_is_found_and_nothing_else(train, test_rows, tmp_path):
    matches = check(train, test_rows, tmp_path / "leaks.jsonl", None, 4, Console(quiet=True))

    assert {(m.kind, m.train_row.rpartition(":")[2], m.test_row.rpartition(":")[2]) for m in matches} == {
        ("image", "1", "1"),
        ("near_image", "2", "2"),
        ("question", "3", "3"),
        ("question", "5", "5"),
        ("question", "7", "6"),
        ("near_image", "9", "7"),
    }
    assert matches[0].test_row == "task/some_task.jsonl:1"
    written = [json.loads(line) for line in (tmp_path / "leaks.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in written] == [match.kind for match in matches]


def test_what_could_not_be_compared_is_said(train, test_rows, tmp_path):
    with (tmp_path / "log").open("w") as log:
        check(train, test_rows, tmp_path / "leaks.jsonl", None, 4, Console(file=log, width=200))

    text = (tmp_path / "log").read_text()
    assert "some_task.jsonl:8: corrupt_image" in text
    assert "6 of 9 " in text


def test_removing_writes_a_whole_set_without_them(train, test_rows, tmp_path):
    check(train, test_rows, tmp_path / "leaks.jsonl", tmp_path / "clean", 4, Console(quiet=True))

    counts = read_manifest(tmp_path / "clean")["counts"]
    assert (counts["leaked"], counts["train"] + counts["validation"]) == (6, 3)
    assert {r["row_id"].rpartition(":")[2] for r in read_index(tmp_path / "clean").to_pylist()} == {"4", "6", "8"}
    left = {row["extra_info"]["row_id"] for entry in read_manifest(tmp_path / "clean")["shards"]
            for row in pq.read_table(tmp_path / "clean" / entry["file"]).to_pylist()}  # fmt: skip
    assert left == {row["row_id"] for row in read_index(tmp_path / "clean").to_pylist()}
    for entry in read_manifest(tmp_path / "clean")["shards"]:
        assert entry["sha256"] == sha256_of(tmp_path / "clean" / entry["file"])
    assert check(tmp_path / "clean", test_rows, tmp_path / "again.jsonl", None, 4, Console(quiet=True)) == []
    with pytest.raises(ConfigError, check=only(("--remove", "exists-already"))):
        check(train, test_rows, tmp_path / "leaks.jsonl", tmp_path / "clean", 4, Console(quiet=True))


def test_a_folder_without_rows_is_an_error(train, tmp_path):
    with pytest.raises(ConfigError, check=only((str(tmp_path), "no-rows-there"))):
        check(train, tmp_path, tmp_path / "x", None, 4, Console(quiet=True))
