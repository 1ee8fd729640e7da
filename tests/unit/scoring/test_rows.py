"""Reading rows: every problem with its line, either name of a key, equal rows, and the rows of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.errors import ConfigError
from medix_r1.rewards.base import SampleReader
from medix_r1.runs.samples_folder import SamplesFolder
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.scoring import rows
from medix_r1.scoring.judging.audit import AuditRow
from medix_r1.scoring.rows import Row, without_end_tokens
from tests.support.problems import codes, only

GOOD = {"question": "Which organ?", "reference": "<CT_SCAN>liver", "completion": "<CT_SCAN>..."}


def written(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), encoding="utf-8")
    return path


def test_every_problem_is_said_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        GOOD,
        "{torn",
        {"question": "q", "reference": "<X_RAY>", "completion": "x"},
        "",
        {"question": 5, "reference": "-"},
        [1],
        {**GOOD, "cut": "no", "image": 3},
    )
    with pytest.raises(ConfigError) as raised:
        rows.check(path)
    found = [problem.key.removeprefix(f"{path}:") for problem in raised.value.problems]
    assert found[:2] == ["2", "3: reference"]
    assert {"5: question", "5: completion", "5: reference", "6", "7: cut"} <= set(found)
    assert any(key.startswith("7: image") for key in found)
    assert {problem.code for problem in raised.value.problems} == {"not-a-row", "empty-reference", "symbols-only"}


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("", "empty-reference"),
        ("<X_RAY>  ", "empty-reference"),
        ("<X_RAY> --?", "symbols-only"),
        ("\u200b", "symbols-only"),
        ("<XRAY>left lung", "unknown-tag"),
        ("< histology >\nleft lung", "unknown-tag"),
    ],
)
def test_a_row_that_can_never_score_is_refused_but_by_the_public_rules(
    tmp_path: Path, reference: str, code: str
) -> None:
    path = written(tmp_path, GOOD, {**GOOD, "reference": reference})
    with pytest.raises(ConfigError, check=only((f"{path}:2: reference", code))):
        rows.check(path)
    assert rows.check(path, parser="public").count == 2


def test_brackets_are_text_where_the_row_says_that_there_is_no_image(tmp_path: Path) -> None:
    assert rows.check(written(tmp_path, {**GOOD, "reference": "<HB> 5 g/dl", "image": False})).count == 1
    for reference in ("<5 mm", "p < 0.05", "5", "1:2", "lung"):
        assert rows.check(written(tmp_path, {**GOOD, "reference": reference})).count == 1


def test_a_file_of_another_kind_is_given_up_early(tmp_path: Path) -> None:
    path = written(tmp_path, *[{"text": "a"}] * 500)
    with pytest.raises(ConfigError) as raised:
        rows.check(path)
    assert len(raised.value.problems) == rows.MAX_PROBLEMS + 1
    assert codes(raised.value)[-1] == (str(path), "many-bad-rows")


@pytest.mark.parametrize(("content", "code"), [(None, "no-such-file"), ("", "no-rows"), ("\n\n", "no-rows")])
def test_nothing_to_read(tmp_path: Path, content: str | None, code: str) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, check=only((str(path), code))):
        rows.check(path)


def test_bytes_that_are_no_text_are_a_problem_of_their_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"question": "\xff"}\n')
    with pytest.raises(ConfigError, match=rf"{path.name}:2: "):
        rows.check(path)


def test_an_id_given_twice_is_refused_and_equal_rows_are_counted(tmp_path: Path) -> None:
    assert rows.check(written(tmp_path, GOOD, GOOD, {**GOOD, "id": "a"})) == rows.RowCounts(
        3, {Row.model_validate(GOOD).content: 2}
    )
    path = written(tmp_path, {**GOOD, "id": "a"}, GOOD, {**GOOD, "id": "a", "question": "other"})
    with pytest.raises(ConfigError, check=only((f"{path}:3: id", "repeated-id"))):
        rows.check(path)


def test_missing_images_matter_only_where_one_looks_at_them(tmp_path: Path) -> None:
    path = written(tmp_path, {**GOOD, "image": ["there.png", "gone.png"]})
    (tmp_path / "there.png").write_bytes(b"png")
    assert rows.check(path).count == 1
    with pytest.raises(ConfigError, check=only((f"{path}:1: image", "no-such-image"))) as raised:
        rows.check(path, needs_images=True)
    assert "gone.png" in str(raised.value)


def test_the_row_of_a_run_is_understood(tmp_path: Path) -> None:
    rollout = ScoredRollout(
        key="u1_0_0",
        uid="u1",
        row_id="nano/1",
        source="train",
        question="Which organ?",
        reference="<CT_SCAN>\nliver",
        reply="<CT_SCAN><think>x</think><answer>liver</answer>",
        answer="liver",
        modality="CT_SCAN",
        parts={"llm": 1.0, "embed": None},
        reasons={"llm": "exact match", "embed": "failed"},
        overall=None,
        masked=True,
        failure="embedder",
        outage=True,
        cut=True,
        tokens=12,
        image=True,
    )
    SamplesFolder(tmp_path).write("train", 1, [rollout])
    (tmp_path / "train" / "000001.jsonl").rename(tmp_path / "000001.jsonl")
    assert rows.check(tmp_path / "000001.jsonl").count == 1
    row = rows.find(tmp_path / "000001.jsonl", name="u1_0_0").row
    sample = row.sample(SampleReader(think_element="think"))
    assert (sample.source, sample.cut, sample.has_image) == ("train", True, True)
    assert sample.completion.answer == sample.reference.answer == "liver"
    assert AuditRow.model_validate_json((tmp_path / "000001.jsonl").read_text()).parts == {"llm": 1.0, "embed": None}


@pytest.mark.parametrize(
    ("image", "reference", "expected"),
    [
        (None, "<CT_SCAN>a", True),
        (None, "a", False),
        (False, "<CT_SCAN>a", False),
        (True, "a", True),
        ("a.png", "a", True),
    ],
)
def test_whether_there_is_an_image(image: object, reference: str, expected: bool) -> None:
    assert Row.model_validate({**GOOD, "reference": reference, "image": image}).has_image is expected


def test_what_is_scored_decides_about_the_content() -> None:
    row = Row.model_validate(GOOD)
    assert Row.model_validate({**GOOD, "note": "left alone"}).content == row.content
    for changed in ({"completion": "x"}, {"id": "7"}, {"cut": True}, {"choices": ("a",)}, {"accepted": ("b",)}):
        assert Row.model_validate({**GOOD, **changed}).content != row.content


@given(st.text(), st.text(min_size=1), st.text())
def test_any_text_survives_a_file(question: str, reference: str, completion: str) -> None:
    text = json.dumps({"question": question, "reference": f"a{reference}", "completion": completion})
    row = Row.model_validate_json(text)
    assert (row.question, row.completion) == (question, completion)
    assert Row.model_validate_json(json.dumps(row.model_dump())).content == row.content


def test_rows_are_found_by_line_and_by_id(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD, "{torn", {**GOOD, "id": 7})
    assert rows.find(path, line=1).row.name == f"{Row.model_validate(GOOD).content:016x}"
    assert rows.find(path, name="7").number == 3
    for keywords in ({"line": 2}, {"line": 9}, {"name": "8"}):
        with pytest.raises(ConfigError):
            rows.find(path, **keywords)


def test_an_audit_takes_a_bare_prediction_as_it_stands() -> None:
    row = AuditRow.model_validate({"question": "q", "reference": "a", "prediction": "b</answer>", "label": False})
    assert row.sample(SampleReader()).completion.answer == "b</answer>"
    with pytest.raises(ValueError, match="prediction"):
        AuditRow.model_validate({"question": "q", "reference": "a"})


@pytest.mark.parametrize(
    ("end", "left"),
    [
        ("<|im_end|>", ""),
        ("\n<|im_end|>\n<|endoftext|>  ", "\n"),
        ("</s>", ""),
        (" <end_of_turn>", " "),
        ("<|im_end|> and", "<|im_end|> and"),
    ],
)
def test_the_token_that_ends_a_turn_is_no_part_of_the_reply(end: str, left: str) -> None:
    assert without_end_tokens(f"<answer>left</answer>{end}").rstrip() == f"<answer>left</answer>{left}".rstrip()


def test_a_reply_with_an_end_token_is_well_formed() -> None:
    reply = "<X_RAY><think>It is so.</think><answer>left</answer><|im_end|>"

    sample = Row(question="", reference="<X_RAY>left", completion=reply).sample(SampleReader(think_element="think"))

    assert sample.completion.well_formed
