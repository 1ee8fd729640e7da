"""Every kind of file gives the same rows, whatever the size of the units it is cut into."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medix_r1.data.sources.folder import folder
from medix_r1.data.sources.lines import CsvSource, JsonlSource
from medix_r1.data.sources.parquet import ParquetSource, medix_rl
from medix_r1.errors import ConfigError, DataError
from tests.support.problems import coded, codes, only
from tests.unit.data.support import encoded, picture

COLUMNS = {"question": ["question", "problem"], "answer": "answer", "images": ["images", "file_name"], "id": "id"}
ROWS = [
    {"question": f"Line one\nquestion, {i}?", "answer": f"a{i}", "images": f"{i}.png", "id": str(i)} for i in range(23)
]


def all_rows(source, max_rows):
    units = source.units(max_rows)
    assert [unit.number for unit in units] == list(range(len(units)))
    return [row for unit in units for row in source.rows(unit)]


def jsonl(path):
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "\n\n")
    return JsonlSource(path=str(path / "rows.jsonl"), columns=COLUMNS)


def csv_file(path):
    with (path / "rows.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return CsvSource(path=str(path), columns=COLUMNS)


def parquet(path):
    pq.write_table(pa.Table.from_pylist(ROWS), path / "rows.parquet", row_group_size=3)
    return ParquetSource(path=str(path), columns=COLUMNS)


def sidecars(path):
    for row in ROWS:
        name = path / f"{int(row['id']):03d}.json"
        name.write_text(json.dumps({key: row[key] for key in ("question", "answer", "id")}))
        name.with_suffix(".PNG" if int(row["id"]) % 2 else ".png").write_bytes(b"")
    return folder(path=str(path), columns=COLUMNS)


@pytest.mark.parametrize("max_rows", [1, 4, 1000])
@pytest.mark.parametrize("make", [jsonl, csv_file, parquet, sidecars])
def test_all_rows_once_whatever_the_unit(make, max_rows, tmp_path):
    rows = all_rows(make(tmp_path), max_rows)

    assert [row.fields["question"] for row in rows] == [row["question"] for row in ROWS]
    assert [row.fields["id"] for row in rows] == [row["id"] for row in ROWS]
    assert len({row.where for row in rows}) == len(ROWS)
    assert all(str(row.fields["images"]).lower().endswith(".png") for row in rows)


def test_a_folder_with_metadata(tmp_path):
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "problem": "q", "answer": "a"}))

    (row,) = all_rows(folder(path=str(tmp_path), columns=COLUMNS), 10)

    assert row.fields["images"] == "a.png"
    assert row.root == str(tmp_path)


def test_the_columns_of_medix_rl(tmp_path):
    """Columns as in DOMAIN: id, image (a list), source, problem, solution; only the train files are read."""
    rows = [{"id": "1", "image": [{"bytes": encoded(picture(1)), "path": None}], "source": "vqa-rad",
             "problem": "Which?", "solution": "<X_RAY>\nleft"}]  # fmt: skip
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    columns = {"question": "problem", "answer": "solution", "images": "image", "source": "source", "id": "id"}

    source = medix_rl(path=str(tmp_path), repo="x/y", revision="main", pattern="*train*.parquet", columns=columns)

    (row,) = all_rows(source, 10)
    assert row.fields["answer"] == "<X_RAY>\nleft"
    assert row.fields["source"] == "vqa-rad"
    assert source.revision().files == ("train-00000-of-00001.parquet",)


def test_damaged_lines_are_rows_with_a_problem(tmp_path):
    good = json.dumps(ROWS[0]).encode()
    (tmp_path / "a.jsonl").write_bytes(good + b"\n{broken\n[1]\n\xff\xfe\n" + b"[" * 100_000 + b"\n" + good)
    rows = all_rows(JsonlSource(path=str(tmp_path / "a.jsonl"), columns=COLUMNS), 2)
    assert [row.problem is None for row in rows] == [True, False, False, False, False, True]

    (tmp_path / "a.csv").write_bytes(b"question,answer\nq,a\nq\nq,a,b\n\xff,a\n")
    rows = all_rows(CsvSource(path=str(tmp_path / "a.csv"), columns=COLUMNS), 2)
    assert [row.problem is None for row in rows] == [True, False, False, True]
    assert "\udcff" in rows[3].fields["question"]  # rejected by its own check


def test_what_is_missing_is_named_with_the_nearest(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"qestion": "q", "reply": "a"}))
    with pytest.raises(ConfigError) as caught:
        JsonlSource(path=str(tmp_path / "a.jsonl"), columns=COLUMNS).units(1)
    assert codes(caught.value) == [
        ("data.columns.question", "no-such-column"),
        ("data.columns.answer", "no-such-column"),
    ]
    assert " qestion?" in caught.value.problems[0].text

    with pytest.raises(ConfigError, check=only(("data.path", "no-such-file"))):
        JsonlSource(path=str(tmp_path / "b.jsonl"), columns=COLUMNS)
    (tmp_path / "c.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, check=coded("not-parquet")):
        ParquetSource(path=str(tmp_path / "c.parquet"), columns=COLUMNS).units(1)
