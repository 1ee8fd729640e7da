"""`medix-r1 rubric`, its verbs against a judge on loopback: draft, read, probe, and what they refuse."""

import json

import pytest
from typer.testing import CliRunner

from medix_r1.cli import app
from tests.support.criteria_stub import verdicts
from tests.support.judge_stub import MODEL, JudgeStub

DRAFT = [{"criterion": "Names the left lung", "points": 5, "tag": "accuracy"}]


@pytest.fixture
def server():
    with JudgeStub(lambda prompt: json.dumps(DRAFT) if "Write at most" in prompt else verdicts(prompt)) as stub:
        yield stub


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["rubric", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def judge(server: JudgeStub) -> list[str]:
    return ["judge=remote", f"judge.client.base_url={server.address}", f"judge.client.model={MODEL}"]


def test_drafts_are_corrected_and_read_back(tmp_path, server):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "question": "Where?", "answer": "left lung"}\n')
    assert run("draft", str(rows), *judge(server))[0] == 0
    asked = len(server.calls)
    assert run("draft", str(rows), *judge(server))[0] == 0
    assert len(server.calls) == asked  # from the cache beside the output
    drafted = json.loads((tmp_path / "rows.drafted.jsonl").read_text())
    assert drafted["rubric"][0]["tags"] == ["accuracy", "machine-made"]
    sheet = tmp_path / "rows.drafted.csv"
    text = sheet.read_text(encoding="utf-8-sig")
    sheet.write_text(text.replace(",machine,", ",machine,yes"))
    out = tmp_path / "read.jsonl"
    assert run("read", str(sheet), "--rows", str(tmp_path / "rows.drafted.jsonl"), "--out", str(out))[0] == 0
    assert json.loads(out.read_text())["rubric"][0]["tags"] == ["accuracy"]


def test_attacks_on_a_judge_that_answers(tmp_path, server):
    code, output = run("probe", "--json", str(tmp_path / "found.json"), *judge(server))
    found = json.loads((tmp_path / "found.json").read_text())
    assert sum(one["broken"] for one in found["families"].values() if one["rests_on"] == "rules") == 0
    assert f"{len(found['attacks'])} attacks: 0 break a bound that rests on rules" in " ".join(output.split())
    assert code in (0, 1)


def test_attacks_without_any_judge():
    code, output = run("probe", "--gullible")
    assert code == 1  # what rests on the judge breaks with this one
    assert " 0 break a bound that rests on rules" in " ".join(output.split())


@pytest.mark.parametrize(
    "words",
    [
        ("draft", "gone.jsonl", "judge=none"),
        ("probe", "judge=none"),
        ("probe", "--gullible", "--attacks", "gone.yaml"),
        ("read", "gone.csv", "--rows", "gone.jsonl"),
    ],
)
def test_wrong_input_is_said_before_anything_is_asked(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["rubric", *words])
    assert result.exit_code != 0
    assert type(result.exception).__name__ in ("ConfigError", "SystemExit")
