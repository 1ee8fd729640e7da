import json

import httpx
import pytest
from tenacity import Retrying, stop_after_attempt

from medix_r1.errors import DataError
from medix_r1.models.reading.faults import CallFailed, Fault, fault_of_body, fault_of_status, line, server_sentence, why
from medix_r1.models.reading.sent_texts import SentTexts

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>x</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "code", "shown"),
    [
        (307, b"", "redirected", "307"),
        (400, b'{"error": {"message": "maximum context length is 4096 tokens"}}', "too-long", "4096"),
        (400, b'{"object": "error", "message": "prompt is too long: 5012 tokens"}', "too-long", "5012"),
        (400, b'{"error": {"message": "seed must be an integer"}}', "refused-by-server", "seed must"),
        (401, b'{"error": {"message": "Incorrect API key"}}', "wrong-key", "key"),
        (402, b'{"error": {"message": "top up"}}', "no-credit", "credit"),
        (403, b"{}", "not-allowed", "403"),
        (404, b'{"error": {"message": "The model `judge` does not exist"}}', "unknown-model", "judge"),
        (404, b'{"error": {"message": "Model other/name not found"}}', "unknown-model", "other/name"),
        (404, b'{"detail": "Not Found"}', "no-such-address", "/v1"),
        (408, b"", "timed-out", "408"),
        (413, PAGE, "too-long", "HTML"),
        (422, b'{"detail": [{"loc": ["body", "n"], "msg": "extra"}]}', "refused-by-server", "422: body.n: extra"),
        (422, b'{"detail": [{"msg": "one"}, {"loc": ["x"], "msg": "two"}]}', "refused-by-server", ": one; x: two"),
        (429, b'{"error": "slow down"}', "busy", "slow down"),
        (500, b"oops", "server-error", "oops"),
        (502, PAGE, "server-error", "HTML: Sign in"),
        (503, b"loading", "busy", "loading"),
        (504, b"", "server-error", "504"),
    ],
)
def test_a_status_and_the_servers_own_words(status, body, code, shown):
    problem = fault_of_status(status, body, model="judge").problem()
    assert (problem.code, shown in problem.text) == (code, True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (PAGE, "html-page"),
        (b"", "empty-body"),
        (b'{"choi', "not-json"),
        (b"YES", "not-json"),
        (b'"YES"', "no-completion"),
        (b"[" * 100_000, "not-json"),
        (b'{"error": {"message": "no upstream", "code": 502}}', "error-in-a-200"),
        (b'{"object": "error", "message": "engine dead"}', "error-in-a-200"),
        (b'{"choices": []}', "no-completion"),
        (b'{"choices": null}', "no-completion"),
        (b'{"choices": [{"message": null}]}', "no-completion"),
        (b"{}", "no-completion"),
    ],
)
def test_a_200_that_is_no_reply(body, code):
    fault = fault_of_body(body)
    assert fault is not None
    assert fault.code == code


@pytest.mark.parametrize("reply", [{"choices": [{"message": {}}], "error": None}, {"data": [{"embedding": [1.0]}]}])
def test_a_200_that_is_a_reply(reply):
    assert fault_of_body(json.dumps(reply).encode()) is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"error": {"message": "too long"}}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b'{"message": "too long"}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b"<html>\n oops \x1b[31m</html>", "oops [31m"),
        (b"", "(empty)"),
        (b"[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 10_000, "x" * 240),
        (b"[" * 100_000, "[" * 240),
        ("a\u202eb\u200b\x07c".encode(), "a b c"),
    ],
)
def test_what_an_error_says_is_one_plain_line(body, shown):
    assert server_sentence(body) == shown


@pytest.mark.parametrize("start", range(210, 245))
def test_no_part_of_a_key_is_left_where_the_line_is_cut(start):
    key = "canary-0123456789abcdef"
    assert "canary" not in line("x" * start + key, SentTexts(lambda: (), [key]))


def _retried(error: Exception, attempts: int) -> BaseException:
    def fail() -> None:
        raise error

    try:
        Retrying(stop=stop_after_attempt(attempts))(fail)
    except Exception as failed:  # noqa: BLE001 - the error under test
        return failed
    raise AssertionError


def test_a_call_that_was_retried_says_how_often():
    error = _retried(CallFailed(Fault("busy", "HTTP 429", "slow down")), 3)
    problem = why(error)
    assert (problem.code, problem.text) == ("busy", "HTTP 429, asked 3 times: slow down")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError("attempt_timeout"), "timed-out"),
        (httpx.ReadTimeout("x"), "timed-out"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "no-answer"),
        (ConnectionRefusedError(), "no-answer"),
        (httpx.RemoteProtocolError("Server disconnected"), "connection-lost"),
        (ConnectionResetError(), "connection-lost"),
        (httpx.HTTPStatusError("x", request=httpx.Request("GET", "http://h"), response=httpx.Response(503)), "busy"),
        (DataError("no picture", code="not-an-image"), "not-an-image"),
        (KeyError("level"), "raised"),
    ],
)
def test_the_reason_of_an_exception(error, code):
    assert why(error).code == code


def test_the_reason_of_an_exception_repeats_nothing_that_was_sent():
    problem = why(KeyError("Mr. Quokkawort's level"), SentTexts.of("Mr. Quokkawort has a fever"))
    assert "Quokkawort" not in problem.text
    assert "KeyError" in problem.text
