"""Servers that stall, die and lie, a judge out of range, a disk that is full: no score is ever made up.

Each test ends with the fault gone and the same command again: only what was missing is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, DataError
from medix_r1.evaluation import run as runs
from medix_r1.evaluation import show
from medix_r1.evaluation.results.records import Record
from medix_r1.evaluation.settings import compose_eval
from tests.integration.test_evaluation import QUIET, hub, judge, policy, words  # noqa: F401 - fixtures
from tests.support.chat_stub import ChatStub, is_first_question, text_of
from tests.support.problems import coded, only

GARBAGE = [
    (500, {}, b"{}"),
    (429, {}, b'{"error": "slow down"}'),
    (503, {}, b"<html>busy</html>"),
    (200, {}, b"<html>login</html>"),
    (200, {}, b'{"choices": []}'),
    (200, {}, b'{"choices": [{"message": null}]}'),
    (200, {}, b'{"choi'),
    (400, {}, b'{"error": {"message": "maximum context length exceeded", "code": "context_length_exceeded"}}'),
    "drop",
]


def _run(words: list[str]) -> dict[str, list[Record]]:  # noqa: F811
    outcome = runs.run(runs.plan(compose_eval(words)), QUIET)
    assert show.outcome(outcome, QUIET) == (1 if outcome.unscored else 0)
    return outcome.records


@pytest.mark.parametrize("fault", GARBAGE, ids=lambda fault: fault if isinstance(fault, str) else f"{fault[0]}")
def test_a_generation_that_fails_is_unscored_and_owed(words, policy, judge, fault) -> None:  # noqa: F811
    policy.behave = lambda call, request: fault if "fracture" in text_of(request) else None
    records = _run(words("rad_vqa"))["rad_vqa"]
    assert [record.score for record in records] == [None, 0.0, 0.0]
    assert records[0].reply is None
    assert (records[0].unscored or "").startswith("no reply: ")
    tries = 1 if fault[0] == 400 else 2  # what can never work is not tried again
    assert len(policy.calls) == 2 + tries

    policy.behave = lambda call, request: None
    records = _run(words("rad_vqa"))["rad_vqa"]
    assert [record.score for record in records] == [1.0, 0.0, 0.0]
    assert len(policy.calls) == 3 + tries


@pytest.mark.parametrize("fault", [GARBAGE[0], GARBAGE[3], "drop"], ids=["500", "html", "drop"])
def test_a_judgement_that_fails_is_unscored_and_owed(words, policy, judge, fault) -> None:  # noqa: F811
    judge.behave = lambda call, request: fault if request["seed"] == 2 and "fracture" in text_of(request) else None
    records = _run(words("rad_vqa"))["rad_vqa"]
    assert [record.score for record in records] == [None, 0.0, 0.0]
    assert [vote.value for vote in records[0].votes] == [1.0, None, 1.0]  # the votes that are there are kept

    asked = len(judge.calls)
    judge.behave = lambda call, request: None
    assert _run(words("rad_vqa"))["rad_vqa"][0].score == 1.0
    assert len(judge.calls) == asked + 1  # and not asked for again
    assert len(policy.calls) == 3


@pytest.mark.parametrize("reply", ['{"reason": "wonderful", "score": 9}', "5", "", '{"score": 3}'])
def test_a_grade_out_of_range_is_no_grade(words, judge, reply) -> None:  # noqa: F811
    judge.answer = lambda request: '{"reason": "same", "score": 5}' if is_first_question(request) else reply
    record = _run(words("mimic_cxr_report_summarization", "judge.seeds=[1]"))["mimic_cxr_report_summarization"][0]
    assert record.score is None
    assert ("JSON" if reply else "empty reply") in (record.unscored or "")
    assert record.votes[0].reply == reply
    assert len(judge.calls) == 3  # as often as parse_attempts says


def test_a_server_that_stalls_is_given_up(words, policy) -> None:  # noqa: F811
    policy.delay = 3.0
    records = _run(words("rad_vqa", "timeout=1", "attempts=1"))["rad_vqa"]
    assert [record.score for record in records] == [None] * 3


def test_a_server_that_dies_stops_the_phase_and_nothing_is_lost(words, tmp_path, policy, judge) -> None:  # noqa: F811
    rows = "".join(f"Question {n}?,w,x,y,z,2\n" for n in range(60))
    file = tmp_path / "rows.csv"
    file.write_text("question,opa,opb,opc,opd,cop\n" + rows)
    policy.behave = lambda call, request: "drop" if call > 20 else None
    mine = words("medmcqa", f"tasks.medmcqa.file={file}", "connections=2", "give_up_after=4", "attempts=1")
    records = _run(mine)["medmcqa"]
    assert sum(record.score is not None for record in records) == 20
    assert len(policy.calls) < 30  # the rest was not even tried
    assert any("not tried" in (record.unscored or "") or "no reply" in (record.unscored or "") for record in records)
    policy.behave = lambda call, request: None
    assert all(record.score == 1.0 for record in _run(mine)["medmcqa"])


def test_cut_replies_are_scored_and_counted_apart(words, policy) -> None:  # noqa: F811
    policy.finish_reason = "length"
    policy.answer = lambda request: "<X_RAY><think>it goes on and"
    records = _run(words("rad_vqa"))["rad_vqa"]
    assert [(record.score, record.truncated, record.answer) for record in records] == [(0.0, True, None)] * 3


def test_a_full_disk_ends_the_command_and_keeps_what_is_there(words, policy, monkeypatch) -> None:  # noqa: F811
    real = os.write

    def full(handle: int, data: bytes) -> int:
        name = Path(f"/proc/self/fd/{handle}").resolve().name
        if name == "generations.jsonl" and len(policy.calls) > 1:
            real(handle, data[:10])
            raise OSError(28, "No space left on device")
        return real(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(DataError, check=coded("not-written", "No space left on device")):
            _run(words("rad_vqa", "connections=1"))
    asked = len(policy.calls)
    assert all(record.score is not None for record in _run(words("rad_vqa", "connections=1"))["rad_vqa"])
    assert len(policy.calls) == asked + 2  # the first reply was kept


def test_a_redirecting_judge_gets_no_key_elsewhere(words, judge, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    with ChatStub(lambda request: "YES", "judge") as elsewhere:
        moved = {"Location": f"{elsewhere.address}/chat/completions"}
        judge.behave = lambda call, request: (307, moved, b"") if call else None
        judges = f"judge.judges=[{{model: judge, base_url: '{judge.address}', api_key_env: JUDGE_KEY}}]"
        _run(words("rad_vqa", judges, "judge.seeds=[1]"))
        assert all("sk-secret" not in (call["authorization"] or "") for call in elsewhere.calls)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ((401, {}, b'{"error": {"message": "Incorrect API key"}}'), ("judge.judges[0].api_key_env", "wrong-key")),
        ((400, {}, b'{"error": {"message": "unknown field"}}'), ("judge.judges[0]", "refused-by-server")),
        ((402, {}, b"{}"), ("judge.judges[0]", "no-credit")),
        ("Well, that depends.", ("judge.judges[0]", "no-verdict")),
        ("", ("judge.judges[0]", "empty-reply")),
    ],
)
def test_a_bad_judge_is_found_before_anything_is_generated(words, policy, judge, fault, problem) -> None:  # noqa: F811
    if isinstance(fault, str):
        judge.answer = lambda request: fault
    else:
        judge.behave = lambda call, request: fault
    with pytest.raises(ConfigError, check=only(problem)):
        _run(words("rad_vqa"))
    assert policy.calls == []


def test_each_judge_is_asked_as_the_tasks_need(words, policy, judge) -> None:  # noqa: F811
    _run(words("[rad_vqa,mimic_cxr_report_summarization]"))
    assert ["JSON" in text_of(request) for request in judge.first_questions[:2]] == [False, True]


def test_no_judge_is_asked_where_none_is_needed(words, policy, judge) -> None:  # noqa: F811
    _run(words("rad_vqa"))
    judge.first_questions.clear()
    judge.behave = lambda call, request: (500, {}, b"")
    _run(words("rad_vqa"))
    assert judge.first_questions == []
