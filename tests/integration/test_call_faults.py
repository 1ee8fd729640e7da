"""Every way in which a model's server may fail, through inspect's client as the evaluation calls it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from inspect_ai.model import GenerateConfig
from tenacity import wait_none

from medix_r1.errors import Problem
from medix_r1.evaluation.phases.model_api import VerbatimChatAPI, open_model
from medix_r1.models.reading.faults import why
from tests.support.chat_stub import ChatStub

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html"}
PAGE = b"<!doctype html><title>Sign in</title>"
CONTEXT = b"{'error': {'message': 'maximum context length is 4096 tokens, you requested 9000'}}".replace(b"'", b'"')
# name: what the server sends, the sentence's code, what the sentence shows, and the calls that are made of three
FAULTS: dict[str, tuple[Any, str, str, int]] = {
    "redirect": ((307, {"Location": "http://127.0.0.1:1/"}, b""), "redirected", "307", 1),
    "context": ((400, JSON, CONTEXT), "too-long", "4096", 1),
    "bad field": ((400, JSON, b'{"error": {"message": "seed must be positive"}}'), "refused-by-server", "seed must", 1),
    "key": ((401, JSON, b'{"error": {"message": "Incorrect API key"}}'), "wrong-key", "key", 1),
    "credit": ((402, JSON, b'{"error": {"message": "top up"}}'), "no-credit", "credit", 1),
    "forbidden": ((403, JSON, b"{}"), "not-allowed", "403", 1),
    "no such model": ((404, JSON, b'{"error": {"message": "The model does not exist"}}'), "unknown-model", "404", 1),
    "server's timeout": ((408, JSON, b"{}"), "timed-out", "408, asked 3 times", 3),
    "too large": ((413, HTML, PAGE), "too-long", "HTML: Sign in", 1),
    "unknown field": ((422, JSON, b'{"detail": [{"msg": "extra fields"}]}'), "refused-by-server", "extra fields", 1),
    "rate limit": ((429, JSON, b'{"error": "slow down"}'), "busy", "429, asked 3 times: slow down", 3),
    "crash": ((500, JSON, b"oops"), "server-error", "500, asked 3 times", 3),
    "proxy": ((502, HTML, PAGE), "server-error", "HTML, asked 3 times", 3),
    "loading": ((503, JSON, b"loading"), "busy", "503, asked 3 times", 3),
    "proxy's timeout": ((504, HTML, b""), "server-error", "504, asked 3 times", 3),
    "page": ((200, HTML, PAGE), "html-page", "HTML in place of a reply, asked 3 times: Sign in", 3),
    "page as JSON": ((200, JSON, PAGE), "html-page", "Sign in", 3),
    "error in a 200": ((200, JSON, b'{"error": {"message": "no upstream"}}'), "error-in-a-200", "no upstream", 3),
    "empty body": ((200, JSON, b""), "empty-body", "200", 3),
    "cut body": ((200, JSON, b'{"id": "1", "choi'), "not-json", "200", 3),
    "no choices": ((200, JSON, b'{"choices": []}'), "no-completion", "200", 3),
    "no message": ((200, JSON, b'{"choices": [{"message": null}]}'), "no-completion", "200", 3),
    "no text": ((200, JSON, b'{"choices": [{"message": {"content": 5}}]}'), "no-completion", "no text", 3),
    "broken connection": ("drop", "connection-lost", "asked 3 times", 3),
}


def _reason(address: str, **config: Any) -> Problem | None:
    async def ask() -> Problem | None:
        model = open_model("judge", address, None, GenerateConfig(max_retries=2, **config))
        try:
            await model.generate("Is it the heart?")
        except Exception as error:  # noqa: BLE001 - whatever comes is what a user is told
            return why(error)
        finally:
            await model.api.aclose()
        return None

    return asyncio.run(ask())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerbatimChatAPI, "retry_wait", lambda self: wait_none())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_sentence(name: str) -> None:
    reply, code, shown, calls = FAULTS[name]
    with ChatStub(lambda request: "YES", "judge") as stub:
        stub.behave = lambda call, request: reply
        problem = _reason(stub.address)
    assert problem is not None
    assert (problem.code, shown in problem.text, len(stub.calls)) == (code, True, calls), problem.text
    assert "heart" not in problem.text


def test_a_server_that_is_not_there() -> None:
    problem = _reason("http://127.0.0.1:9/v1")
    assert problem is not None
    assert problem.code == "no-answer"


def test_a_server_that_stalls() -> None:
    with ChatStub(lambda request: "YES", "judge") as stub:
        stub.delay = 1.5
        problem = _reason(stub.address, attempt_timeout=1)
    assert problem is not None
    assert (problem.code, "asked 3 times" in problem.text) == ("timed-out", True)


def test_a_reply_in_parts_is_read() -> None:
    parts: Any = [{"type": "text", "text": "YES"}]
    with ChatStub(lambda request: parts, "judge") as stub:
        assert _reason(stub.address) is None


def test_a_refusal_beside_the_text_is_the_reply() -> None:
    message = {"content": None, "refusal": "I cannot help with that."}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()

    async def ask(address: str) -> str:
        model = open_model("judge", address, None, GenerateConfig(max_retries=0))
        try:
            return (await model.generate("Is it the heart?")).completion
        finally:
            await model.api.aclose()

    with ChatStub(lambda request: "YES", "judge") as stub:
        stub.behave = lambda call, request: (200, JSON, body)
        assert asyncio.run(ask(stub.address)) == "I cannot help with that."
