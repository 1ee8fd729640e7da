"""A secret in every field of every request, and servers that repeat the request: it is in nothing that is shown."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log
from typer.testing import CliRunner

from medix_r1.evaluation.cli import app
from medix_r1.evaluation.results.records import read_run
from tests.integration.test_evaluation import judge_reply, policy_reply
from tests.support import eval_rows
from tests.support.chat_stub import ChatStub, Request, is_first_question
from tests.support.echo import ECHOES, Echo

FIELDS = ("question", "context", "option", "reference", "reply", "think", "report", "summary", "image", "extra", "key")
SECRETS = {name: f"{name.upper()}zebu{number}quokka" for number, name in enumerate(FIELDS, start=31)}
SHOWN = ("table.md", "table.json", "table.csv", "scores.png", "run.json")  # and all that further commands write


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Path]:
    """A file of rows for each task, a secret in each of its fields; the image's is in its bytes."""
    picture = eval_rows.png((1, 2, 3)) + SECRETS["image"].encode()
    (tmp_path / "x.png").write_bytes(picture)
    report, secret = "mimic_cxr_report_summarization", SECRETS
    made = {
        "rad_vqa": {"question": f"What is {secret['question']}?", "answer": secret["reference"], "image": "x.png"},
        "pubmedqa": {
            "QUESTION": f"Does {secret['question']} help?",
            "CONTEXTS": [f"It was {secret['context']}."],
            "final_decision": "yes",
        },
        "medmcqa": {
            "question": secret["question"],
            "opa": secret["option"],
            "opb": "b",
            "opc": "c",
            "opd": "d",
            "cop": 0,
        },
        report: {"report": f"Findings: {secret['report']}.", "summary": secret["summary"]},
    }
    files = {}
    for task, row in made.items():
        files[task] = tmp_path / f"{task}.jsonl"
        files[task].write_text("".join(json.dumps(row) + "\n" for _ in range(2)))
    return files


def _fails(echo: Echo, request: Request) -> tuple[int, dict[str, str], bytes]:
    return 400, {}, echo(request)


@pytest.fixture
def policy() -> Iterator[ChatStub]:
    def answer(request: Request) -> str:
        think, said = SECRETS["think"], SECRETS["reply"]
        return (
            policy_reply(request)
            .replace("I look closely", think)
            .replace(">no<", f">{said}<")
            .replace(">C<", f">{said}<")
        )

    with ChatStub(answer, "org/policy") as stub:
        yield stub


@pytest.fixture
def judge() -> Iterator[ChatStub]:
    with ChatStub(judge_reply, "judge") as stub:
        yield stub


def _words(rows: dict[str, Path], tmp_path: Path, policy: ChatStub, judge: ChatStub) -> list[str]:
    return [
        "model=org/policy",
        f"base_url={policy.address}",
        f"task=[{','.join(rows)}]",
        *(f"tasks.{task}.file={file}" for task, file in rows.items()),
        f"out_dir={tmp_path / 'eval'}",
        "api_key_env=LEAK_KEY",
        "attempts=1",
        "judge=remote",
        f"judge.judges=[{{model: judge, base_url: '{judge.address}', api_key_env: LEAK_KEY}}]",
        "judge.attempts=1",
        "judge.seeds=[1]",
        f"+judge.extra_body.user={SECRETS['extra']}",
        f"+decoding.extra_body.user={SECRETS['extra']}",
    ]


def _command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "medix_r1.cli", "eval", *words],
        env={**os.environ, "LEAK_KEY": SECRETS["key"]},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def _leaks(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret.casefold()[:8] in text.casefold()]


@pytest.mark.parametrize(("who", "echo"), [("policy", "json"), ("judge", "validation")])
def test_an_evaluation_shows_nothing_of_a_request(rows, tmp_path, policy, judge, who, echo) -> None:
    server, how = (policy if who == "policy" else judge), ECHOES[echo]
    server.behave = lambda call, request: _fails(how, {**request}) if not is_first_question(request) else None
    screen = _command(*_words(rows, tmp_path, policy, judge))
    assert "unscored" in screen
    assert "HTTP 400" in screen
    assert _leaks(screen) == []
    folder = next(path for path in (tmp_path / "eval").iterdir() if path.name != ".images")
    out = tmp_path / "out"
    for words in (
        ("table", str(folder)),
        ("compare", str(folder), str(folder), "--out", str(out / "compare")),
        ("audit", str(folder), "--out", str(out / "audit")),
    ):
        done = CliRunner().invoke(app, list(words))
        assert (done.exit_code, _leaks(done.output)) == (0, []), words
    shown = [*(folder / name for name in SHOWN), *(path for path in out.rglob("*") if path.is_file())]
    for path in shown:
        settings = (
            ["extra"] if path.name in ("run.json", "table.json", "compare.json") else []
        )  # it is a setting of the result
        assert set(_leaks(path.read_bytes().decode(errors="replace"))) <= set(settings), path
    _, records = read_run(folder)
    for record in (record for found in records.values() for record in found):
        if record.score is None:  # an option's text needs no judge
            assert _leaks(record.unscored or "") == []
        assert _leaks("\n".join(vote.reason for vote in record.votes)) == []
    for log in list_eval_logs(str(folder)):  # inspect's logs hold the samples, but their errors hold none of it
        for sample in read_eval_log(log).samples or []:
            assert _leaks(f"{sample.error.message}{sample.error.traceback}" if sample.error else "") == []
            events = [event for event in sample.events if event.event == "model"]
            assert _leaks(" ".join(str(event.error) for event in events)) == []


@pytest.mark.parametrize("echo", ECHOES)
def test_a_reason_of_inspects_client_shows_nothing_of_a_request(echo, monkeypatch) -> None:
    import asyncio

    from inspect_ai.model import GenerateConfig

    from medix_r1.evaluation.phases.model_api import open_model
    from medix_r1.models.reading.faults import why

    monkeypatch.setenv("LEAK_KEY", SECRETS["key"])
    texts = " ".join(secret for name, secret in SECRETS.items() if name != "key")

    async def ask(address: str) -> str:
        config = GenerateConfig(max_retries=0, extra_body={"user": SECRETS["extra"]})
        model = open_model("judge", address, "LEAK_KEY", config)
        with pytest.raises(Exception, match="HTTP 400") as caught:
            await model.generate(f'{texts}\nnaïve "quotes" <b>')
        await model.api.aclose()
        return why(caught.value).text + str(caught.value)

    with ChatStub(lambda request: "YES", "judge") as stub:
        stub.behave = lambda call, request: _fails(ECHOES[echo], request)
        assert _leaks(asyncio.run(ask(stub.address))) == []


def test_restricted_texts_stay_in_files_of_the_users_own(rows, tmp_path, policy, judge, monkeypatch) -> None:
    """Also where the machine lets everybody read new files."""
    monkeypatch.setenv("LEAK_KEY", SECRETS["key"])
    before = os.umask(0o022)
    try:
        restricted = {task: file for task, file in rows.items() if task.startswith("mimic")}
        words = _words(restricted, tmp_path, policy, judge)
        done = CliRunner().invoke(app, words)
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert _leaks(done.output) == []
    open_to_others = []
    for path in (tmp_path / "eval").rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077 and _holds_texts(path):
            open_to_others.append(str(path))
    assert open_to_others == []
    folder = next((tmp_path / "eval").glob("*/mimic*"))
    assert folder.stat().st_mode & 0o077 == 0


def _holds_texts(path: Path) -> bool:
    data = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        return True
    return bool(_leaks(data.decode(errors="replace")))


def test_a_row_that_is_wrong_shows_no_restricted_text(tmp_path, policy, judge, rows) -> None:
    file = rows["mimic_cxr_report_summarization"]
    code = tmp_path / "mine.py"
    code.write_text("def rows(row, task):\n    raise KeyError(row['report'])\n")
    words = _words({file.stem: file}, tmp_path, policy, judge)
    screen = _command(*words, f"tasks.{file.stem}.format={code}:rows")
    assert "KeyError" in screen
    assert _leaks(screen) == []
