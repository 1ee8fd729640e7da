"""Drafts of rubrics, their sheet, and reading a corrected sheet back."""

import csv
import io
import json
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, JudgeRejected
from medix_r1.models.verdict import OpenQuestion
from medix_r1.scoring.rubrics import draft, sheet
from tests.support.problems import codes

WRITTEN = [
    {"criterion": "Names the left lung", "points": 5, "tag": "accuracy"},
    {"criterion": "=HYPERLINK(1) is refused", "points": 2, "tag": "safety"},
    {"criterion": "Tells to run", "points": -3, "tag": "safety"},
]


class Writer:
    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.asked: list[str] = []

    async def write(self, question: OpenQuestion) -> str:
        self.asked.append(question.text)
        if not question.reads(self.reply):
            raise JudgeRejected("unreadable", code="no-verdict")
        return self.reply


def rows(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def made(tmp_path: Path, reply: str = json.dumps(WRITTEN)) -> list[draft.Drafted]:
    found = draft.read_rows(
        rows(
            tmp_path / "rows.jsonl",
            {"id": "a", "question": "Where? {reference}", "answer": "left lung", "source": "clinic"},
            {"id": "b", "question": "Why?", "reference": "virus", "rubric": WRITTEN},
        )
    )
    writer = Writer(reply)
    drafted = await draft.drafted(found, writer, most=5, in_flight=2, advance=lambda count: None)
    assert len(writer.asked) == 1  # the other has a rubric
    assert "<question> Where? {reference} </question>" in writer.asked[0]
    return drafted


async def test_drafts_are_marked_and_rows_stay_as_they_were(tmp_path) -> None:
    first, second = await made(tmp_path, f"Here it is:\n```json\n{json.dumps(WRITTEN)}\n```")
    assert [one["tags"] for one in first.rubric or ()] == [[one["tag"], "machine-made"] for one in WRITTEN]
    assert json.loads(first.line()) == {"id": "a", "question": "Where? {reference}", "answer": "left lung",
                                        "source": "clinic", "rubric": first.rubric}  # fmt: skip
    assert second.rubric == WRITTEN


@pytest.mark.parametrize(
    "reply",
    ["", "no list", "[]", "[1]", json.dumps(WRITTEN * 2), '[{"criterion": "a", "points": -1}]', "[" * 5000],
)
async def test_what_is_no_rubric_is_said_and_nothing_is_made_up(tmp_path, reply) -> None:
    first, _ = await made(tmp_path, reply)
    assert (first.rubric, first.failure) == (None, "unreadable")


def test_all_that_is_wrong_with_a_file_of_rows(tmp_path) -> None:
    path = rows(tmp_path / "rows.jsonl", {"question": "q"}, [1], {"question": "q", "answer": "a", "rubric": []},
                {"id": 1, "question": "q", "answer": "a"}, {"id": 1, "question": "p", "answer": "a"})  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        draft.read_rows(path)
    assert [code for _, code in codes(caught.value)] == ["no-value", "not-a-row", "not-a-rubric", "repeated-id"]
    with pytest.raises(ConfigError):
        draft.read_rows(tmp_path / "gone.jsonl")


async def filled(tmp_path: Path, change, delimiter: str = ",") -> tuple[list[draft.Drafted], Path]:
    drafted = await made(tmp_path)
    lines = list(csv.DictReader(io.StringIO(sheet.written(drafted))))
    lines = change(lines) or lines
    path = tmp_path / "sheet.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, sheet.COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(lines)
    return drafted, path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_a_corrected_sheet_is_read_back(tmp_path, delimiter) -> None:
    def change(lines):
        first, second, third, *_ = lines
        assert second["criterion"].startswith("'=")  # no formula in a spreadsheet
        first["keep"] = "Yes"
        third["points"] = "-4,5"
        new = {"row": "a", "number": "", "criterion": "Names the side", "points": "1", "tags": "accuracy", "keep": ""}
        lines.append(new)

    drafted, path = await filled(tmp_path, change, delimiter)
    first, second = sheet.corrected(drafted, path)
    assert first.rubric == [
        {"criterion": "Names the left lung", "points": 5.0, "tags": ["accuracy"]},
        {"criterion": "=HYPERLINK(1) is refused", "points": 2.0, "tags": ["safety", "machine-made"]},
        {"criterion": "Tells to run", "points": -4.5, "tags": ["safety"]},
        {"criterion": "Names the side", "points": 1.0, "tags": ["accuracy"]},
    ]
    assert [one["criterion"] for one in second.rubric or ()] == [one["criterion"] for one in WRITTEN]


async def test_what_is_left_out_goes_and_a_row_may_lose_all(tmp_path) -> None:
    def change(lines):
        for line in lines:
            line["keep"] = "no" if line["row"] == "a" else line["keep"]

    first, second = sheet.corrected(*await filled(tmp_path, change))
    assert first.rubric is None
    assert "rubric" not in json.loads(first.line())
    assert second.rubric is not None


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("row", "other", "no-such-row"),
        ("number", "9", "no-such-criterion"),
        ("number", "2", "repeated-criterion"),
        ("points", "many", "not-points"),
        ("points", "nan", "not-points"),
        ("points", "0", "out-of-range"),
        ("points", "-1", "no-points"),
        ("criterion", "", "not-a-criterion"),
        ("keep", "perhaps", "not-a-choice"),
    ],
)
async def test_what_is_wrong_in_a_sheet_is_said_with_its_place(tmp_path, column, value, code) -> None:
    def change(lines):
        lines[0][column] = value
        if code == "no-points":
            lines[1]["keep"] = "no"

    drafted, path = await filled(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        sheet.corrected(drafted, path)
    assert code in {found for _, found in codes(caught.value)}
    assert all(key.startswith(str(path)) for key, _ in codes(caught.value))
