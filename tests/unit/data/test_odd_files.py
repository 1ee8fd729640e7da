"""Files as people have them: each gives the same two rows, or is refused with a reason."""

import bz2
import gzip
import json
import lzma
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medix_r1.data.sources import packed
from medix_r1.data.sources.base import known_columns
from medix_r1.data.sources.folder import folder
from medix_r1.data.sources.hidden import HiddenNames
from medix_r1.data.sources.lines import CsvSource, JsonlSource
from medix_r1.data.sources.parquet import ParquetSource
from medix_r1.errors import ConfigError, DataError
from tests.support.problems import coded, only

ROWS = [{"question": "Größe, in cm?", "answer": "24"}, {"question": "Which\nside?", "answer": "None"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
ARRAY = json.dumps(ROWS, ensure_ascii=False)
PRETTY = json.dumps(ROWS, ensure_ascii=False, indent=2)


def table(delimiter, end="\n"):
    quoted = [[f'"{row[key]}"' for key in ("question", "answer")] for row in ROWS]
    return end.join(delimiter.join(cells) for cells in [["question", "answer"], *quoted]) + end


JSON_FILES = {
    "lines": LINES.encode(),
    "lines without a last line feed": LINES.rstrip("\n").encode(),
    "lines with empty ones": ("\n" + LINES.replace("\n", "\n\n")).encode(),
    "lines of Windows": LINES.replace("\n", "\r\n").encode(),
    "lines with a mark of UTF-8": LINES.encode("utf-8-sig"),
    "lines in UTF-16": LINES.encode("utf-16"),
    "lines in UTF-16 without a mark": LINES.encode("utf-16-le"),
    "lines in big-endian UTF-16": LINES.encode("utf-16-be"),
    "gzip of lines": gzip.compress(LINES.encode()),
    "bz2 of lines": bz2.compress(LINES.encode()),
    "xz of lines": lzma.compress(LINES.encode()),
    "lines in UTF-32": LINES.encode("utf-32"),
    "gzip of UTF-16": gzip.compress(LINES.encode("utf-16")),
    "a list": ARRAY.encode(),
    "a list over many lines": PRETTY.encode(),
    "gzip of a list": gzip.compress(PRETTY.encode()),
    "a list in UTF-16": PRETTY.encode("utf-16"),
    "a list inside an object": json.dumps({"version": 1, "data": ROWS}).encode(),
    "a list inside an object over many lines": json.dumps({"info": {}, "data": ROWS}, indent=1).encode(),
}
CSV_FILES = {
    "commas": table(",").encode(),
    "semicolons": table(";").encode(),
    "tabs": table("\t").encode(),
    "bars": table("|").encode(),
    "lines of Windows": table(",", "\r\n").encode(),
    "a mark of UTF-8": table(";").encode("utf-8-sig"),
    "Excel's Unicode text": table("\t").encode("utf-16"),
    "Excel's line about the delimiter": b"sep=;\n" + table(";").encode(),
    "gzip": gzip.compress(table(",").encode()),
    "empty rows": (table(",") + ",\n\n").encode(),
    "spaces in the header": table(",").replace("question,answer", " question , answer ").encode(),
    "capitals in the header": table(",").replace("question,answer", "Question,ANSWER").encode(),
    "a column more": table(",").replace("question,answer", "no,question,answer").replace('\n"', '\n1,"').encode(),
}


def read(source, max_rows=1):
    return [row for unit in source.units(max_rows) for row in source.rows(unit)]


def same(rows):
    return [(row.fields["question"], row.fields["answer"]) for row in rows] == [
        (row["question"], row["answer"]) for row in ROWS
    ]


@pytest.mark.parametrize("max_rows", [1, 10])
@pytest.mark.parametrize("name", JSON_FILES)
def test_json(name, max_rows, tmp_path):
    (tmp_path / "rows.json").write_bytes(JSON_FILES[name])

    assert same(read(JsonlSource(path=str(tmp_path), columns=known_columns()), max_rows))


@pytest.mark.parametrize("max_rows", [1, 10])
@pytest.mark.parametrize("name", CSV_FILES)
def test_csv(name, max_rows, tmp_path):
    (tmp_path / "rows.csv").write_bytes(CSV_FILES[name])

    assert same(read(CsvSource(path=str(tmp_path), columns=known_columns()), max_rows))


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "rows.csv").write_bytes(table(";").encode("cp1252"))

    assert same(read(CsvSource(path=str(tmp_path), columns=known_columns(), encoding="cp1252")))
    assert "\udcf6" in read(CsvSource(path=str(tmp_path), columns=known_columns()))[0].fields["question"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(LINES.encode(), mtime=0)[:-20], "not-readable"),
        (b'[{"question": 1},\n {]', "not-json"),
        (b"PAR1" + b"\0" * 20, "not-text"),
        (json.dumps({"train": ROWS, "test": ROWS}).encode(), "several-lists"),
        (json.dumps({"question": ["A?", "B?"], "answer": ["x", "y"]}).encode(), "not-rows"),
        (json.dumps({"question": {"0": "A?"}, "answer": {"0": "x"}}, indent=1).encode(), "not-rows"),
        (json.dumps({"columns": ["question"], "index": [0], "data": [["A?"]]}).encode(), "not-rows"),
        (json.dumps({"q1": ROWS[0], "q2": ROWS[1]}).encode(), "not-rows"),
        (b'[{"question": "A?", "answer": "x", "answer": "y"}]', "not-json"),
    ],
)
def test_a_json_file_that_is_none_is_refused(content, code, tmp_path):
    (tmp_path / "rows.json").write_bytes(content)

    with pytest.raises(DataError, check=coded(code)):
        read(JsonlSource(path=str(tmp_path), columns=known_columns()))


def test_a_workbook_is_refused_with_what_to_do(tmp_path):
    with zipfile.ZipFile(tmp_path / "rows.xlsx", "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")

    with pytest.raises(DataError, check=coded("not-text", "CSV")):
        read(CsvSource(path=str(tmp_path / "rows.xlsx"), columns=known_columns()))


def test_a_column_twice_is_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("question,answer,answer\nq,a,b\n")

    with pytest.raises(DataError, check=coded("column-twice", "answer")):
        read(CsvSource(path=str(tmp_path), columns=known_columns()))


def test_a_line_that_is_too_long_is_one_rejected_row(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "MAX_LINE", 1000)
    long = json.dumps({"question": "x" * 5000, "answer": "y"})
    (tmp_path / "rows.jsonl").write_text(LINES + long + "\n" + LINES)

    rows = read(JsonlSource(path=str(tmp_path), columns=known_columns()), 2)

    assert [row.problem is None for row in rows] == [True, True, False, True, True]
    assert [row.where for row in rows] == [f"rows.jsonl:{line}" for line in range(1, 6)]


def test_a_packed_file_is_cut_into_few_units(tmp_path):
    lines = "".join(json.dumps({"question": f"q{n}", "answer": "a"}) + "\n" for n in range(500))
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines.encode()))

    source = JsonlSource(path=str(tmp_path), columns=known_columns())

    assert 2 < len(source.units(5)) <= packed.MOST_UNITS
    assert [row.fields["question"] for row in read(source, 5)] == [f"q{n}" for n in range(500)]


def test_parquet_text_stays_text(tmp_path):
    import datetime

    columns = {
        "question": pa.array(["q1", "q2"]),
        "answer": pa.array([0.1, 2.5], pa.float32()),
        "id": pa.array([24.0, None], pa.float64()),
        "accepted": pa.array([datetime.date(2020, 1, 2), None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")

    rows = read(ParquetSource(path=str(tmp_path), columns=known_columns()))

    assert [row.fields["answer"] for row in rows] == [0.1, 2.5]
    assert [row.fields["id"] for row in rows] == [24.0, None]


def test_rows_are_chosen_by_their_columns(tmp_path):
    rows = [{**row, "q_lang": lang} for row, lang in zip(ROWS, ("en", "zh"), strict=True)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))

    (row,) = read(JsonlSource(path=str(tmp_path), columns=known_columns(), where={"q_lang": "en"}))

    assert row.fields["answer"] == "24"
    with pytest.raises(ConfigError, check=only(("data.where.lang", "no-such-column"))):
        read(JsonlSource(path=str(tmp_path), columns=known_columns(), where={"lang": "en"}))


def test_pictures_that_are_not_read_are_said_or_refused(tmp_path):
    (tmp_path / "a.csv").write_text("question,answer,figure,reply,label\nq,a,x.png,r,l\n")
    source = CsvSource(path=str(tmp_path / "a.csv"), columns=known_columns())
    source.units(10)
    told = "\n".join(source.notes)
    assert "figure" in told
    assert "label" in told

    (tmp_path / "b.csv").write_text("question,answer,figure,tag\nq,a,x.png,CT\n")
    with pytest.raises(ConfigError, check=only(("data.columns.images", "pictures-not-read"))) as caught:
        CsvSource(path=str(tmp_path / "b.csv"), columns=known_columns()).units(10)
    assert "data.columns.images=figure" in str(caught.value)


def test_a_column_that_was_named_and_is_not_there_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("question,answer,image_1\nq,a,x.png\n")
    columns = {**known_columns(), "images": ["image_1", "image_2"], "tag": "modalty"}

    with pytest.raises(ConfigError) as caught:
        CsvSource(path=str(tmp_path / "a.csv"), columns=columns).units(10)

    assert [problem.key for problem in caught.value.problems] == ["data.columns.images", "data.columns.tag"]


def test_names_of_files_can_be_hidden(tmp_path):
    (tmp_path / "Doe_Jane.jsonl").write_text(LINES)
    source = HiddenNames(JsonlSource(path=str(tmp_path), columns=known_columns()))

    rows = read(source)

    assert same(rows)
    assert not any("Doe" in row.where for row in rows)
    assert len({row.where for row in rows}) == 2
    assert "Doe" not in str(source.revision().files)
    assert all(row.hide_names for row in rows)


def test_plain_and_packed_files_of_a_folder_are_all_read(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINES.splitlines()[0] + "\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(LINES.splitlines()[1].encode()))
    (tmp_path / "notes.json").write_text("{}")

    assert same(read(JsonlSource(path=str(tmp_path), columns=known_columns())))


def test_another_kind_of_file_is_answered_with_its_kind(tmp_path):
    (tmp_path / "rows.csv").write_bytes(CSV_FILES["commas"])

    with pytest.raises(ConfigError, check=only(("data.path", "not-json"))):
        JsonlSource(path=str(tmp_path / "rows.csv"), columns=known_columns()).units(10)
    with pytest.raises(ConfigError, check=only(("data.path", "no-such-file"))) as caught:
        JsonlSource(path=str(tmp_path), columns=known_columns())
    assert "1 .csv" in str(caught.value)


def test_a_picture_without_a_suffix_stands_beside_its_row(tmp_path):
    (tmp_path / "IM0001.json").write_text(json.dumps(ROWS[0]))
    (tmp_path / "IM0001").write_bytes(b"")

    assert read(folder(path=str(tmp_path), columns=known_columns()))[0].fields["images"] == "IM0001"


def test_damaged_files_among_many_are_rows_with_a_problem(tmp_path):
    for number in range(300):
        (tmp_path / f"{number:03d}.json").write_text(json.dumps({"question": f"q{number}", "answer": "a"}))
    (tmp_path / "100.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "200.json").write_bytes(b"")

    rows = read(folder(path=str(tmp_path), columns=known_columns()), 7)

    assert [row.where for row in rows if row.problem] == ["100.json", "200.json"]
    assert len(rows) == 300


def test_classes_of_the_hub_are_their_names(tmp_path):
    features = {"answer": {"names": ["no", "yes"], "_type": "ClassLabel"}, "question": {"_type": "Value"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = pa.table({"question": ["q1", "q2", "q3"], "answer": [1, 0, None]})
    pq.write_table(rows.replace_schema_metadata(about), tmp_path / "rows.parquet")

    rows = read(ParquetSource(path=str(tmp_path), columns=known_columns()))

    assert [row.fields["answer"] for row in rows] == ["yes", "no", None]


def test_an_open_quotation_mark_does_not_swallow_rows(tmp_path):
    lines = [f"q{n},a{n}" for n in range(200)]
    lines[20] = 'q20,"a20'
    (tmp_path / "rows.csv").write_text("question,answer\n" + "\n".join(lines) + "\n")

    with pytest.raises(DataError, check=coded("not-csv", "line 22")):
        CsvSource(path=str(tmp_path), columns=known_columns()).units(10)


def test_rows_of_csv_are_chosen_by_a_number(tmp_path):
    (tmp_path / "rows.csv").write_text("question,answer,fold\nq1,a,1\nq2,a,2\n")

    (row,) = read(CsvSource(path=str(tmp_path), columns=known_columns(), where={"fold": 1}))

    assert row.fields["question"] == "q1"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"question": "A?"},\n', "Extra data"),
        ('{"question": "ü"}'.encode("cp1252"), "UTF-8"),
        (b'[["a", "b"]]', "list"),
    ],
)
def test_what_is_wrong_with_the_first_line_is_said(content, says, tmp_path):
    (tmp_path / "rows.json").write_bytes(content)

    with pytest.raises(ConfigError, check=only(("data.path", "not-json")), match=says):
        read(JsonlSource(path=str(tmp_path), columns=known_columns()))


def test_a_name_that_stands_twice_in_a_row_loses_nothing(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "A?", "answer": "x", "answer": "y"}\n' + LINES)

    [odd, *rows] = read(JsonlSource(path=str(tmp_path), columns=known_columns()))
    assert "'answer'" in odd.problem
    assert same(rows)


def test_a_first_file_that_is_empty_does_not_stop_the_others(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl").write_text(LINES)

    assert same(read(JsonlSource(path=str(tmp_path), columns=known_columns())))


def test_files_of_rows_that_are_not_read_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINES)
    (tmp_path / "b.json").write_text(ARRAY)
    (tmp_path / "c.csv").write_bytes(CSV_FILES["commas"])
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "d.parquet")
    read_by: dict[str, Any] = {
        "b.json, c.csv, d.parquet": JsonlSource(path=str(tmp_path), columns=known_columns()),
        "a.jsonl, b.json, d.parquet": CsvSource(path=str(tmp_path), columns=known_columns()),
        "a.jsonl, b.json, c.csv": ParquetSource(path=str(tmp_path), columns=known_columns()),
        "": JsonlSource(path=str(tmp_path / "a.jsonl"), columns=known_columns()),
    }

    for named, source in read_by.items():
        source.units(10)
        assert ", ".join(note.partition("not read: ")[2] for note in source.notes) == named
        assert not [note for note in HiddenNames(source).notes if ".json" in note or ".csv" in note]


@pytest.mark.parametrize(
    ("name", "says"), [("a.xlsx", "CSV"), ("a.jsonl.zst", "zstd"), ("a.arrow", "to_parquet"), ("a.zip", "unpack")]
)
def test_files_of_another_kind_are_refused_with_what_to_do(name, says, tmp_path):
    (tmp_path / name).write_bytes(b"x")

    with pytest.raises(ConfigError, check=only(("data.path", "no-such-file")), match=says):
        JsonlSource(path=str(tmp_path), columns=known_columns())


def test_a_folder_with_metadata_tells_of_other_rows(tmp_path):
    (tmp_path / "metadata.jsonl").write_text(LINES)
    (tmp_path / "b.json").write_text(json.dumps(ROWS[0]))

    source = folder(path=str(tmp_path), columns=known_columns())
    source.units(10)
    assert "b.json" in source.notes[-1]


def test_of_two_columns_that_differ_in_case_the_other_is_told(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "A?", "Question": "B?", "answer": "x"}))

    source = JsonlSource(path=str(tmp_path / "rows.jsonl"), columns=known_columns())
    assert read(source)[0].fields["question"] == "A?"
    assert "Question" in source.notes[0]


def test_a_map_of_parquet_is_a_mapping(tmp_path):
    options = pa.array([[("A", "heart"), ("B", "lung")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"question": ["A?"], "answer": ["B"], "options": options}), tmp_path / "rows.parquet")

    [row] = read(ParquetSource(path=str(tmp_path), columns=known_columns()))
    assert row.fields["choices"] == {"A": "heart", "B": "lung"}
