"""A failed judge is not a wrong answer: each row of the table in docs/judge.md, at the client's level."""

import asyncio
import email.utils
import json
import logging
import socket
import time

import pytest

from medix_r1.errors import JudgeRejected, JudgeUnavailable
from medix_r1.models import connection as connection_module
from medix_r1.models import server_state
from medix_r1.models.http_errors import retry_after
from medix_r1.models.judge import Question
from medix_r1.models.rate_limit import RateLimit
from medix_r1.models.server_state import Addresses
from tests.support.judge_stub import TROUBLE, JudgeStub
from tests.support.problems import coded

SAME = Question("Which side?", "left lung", "Left lung.")
OTHER = Question("Which side?", "left lung", "right lung")
MORE_TROUBLE = {
    "JSON that is no object": (200, {}, b"[1, 2]"),
    "JSON null": (200, {}, b"null"),
    "nested without end": (200, {}, b"[" * 100_000),
    "no choices": (200, {}, b'{"choices": []}'),
    "choices null": (200, {}, b'{"choices": null}'),
    "no message": (200, {}, b'{"choices": [{"index": 0}]}'),
    "content is no text": (200, {}, b'{"choices": [{"message": {"content": ["YES"]}}]}'),
    "plain text": (200, {"Content-Type": "text/plain"}, b"YES"),
    "no content": (204, {}, b""),
    "429 with a Retry-After that is no text": (429, {"Retry-After": "\xff"}, b""),
    "redirect": (302, {"Location": "http://127.0.0.1:9/"}, b""),
}
EVERY_TROUBLE = {**TROUBLE, **MORE_TROUBLE}


def questions(count: int) -> list[Question]:
    return [Question("", "a", f"b{i}") for i in range(count)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("name", [name for name in EVERY_TROUBLE if name != "429 with Retry-After"])
async def test_passing_trouble_is_waited_out(stub, make_judge, name):
    stub.behave = lambda call: EVERY_TROUBLE[name] if call <= 2 else None
    judge = make_judge(stub.address)

    assert (await judge.judge(SAME)).matches
    counted = judge.statistics()
    assert len(stub.calls) == counted["calls"] == 3
    assert (counted["retries"], counted["failures"]) == (2, 0)


@pytest.mark.parametrize("name", EVERY_TROUBLE)
async def test_lasting_trouble_is_an_outage_and_no_verdict(stub, make_judge, name):
    stub.behave = lambda call: EVERY_TROUBLE[name]
    judge = make_judge(stub.address, patience=0.1)

    with pytest.raises(JudgeUnavailable, check=coded("server-lost", stub.address)):
        await judge.judge(SAME)
    assert judge.statistics()["failures"] == 1


async def test_retry_after_is_honoured_by_every_call(stub, make_judge):
    stub.behave = lambda call: TROUBLE["429 with Retry-After"] if call == 1 else None
    judge = make_judge(stub.address, concurrency=1)

    await asyncio.gather(*(judge.judge(question) for question in questions(3)))

    first, *later = [call["at"] for call in stub.calls]
    assert len(later) == 3
    assert min(later) - first >= 1.0


async def test_a_retry_after_beyond_all_patience_is_an_outage_now(stub, make_judge):
    stub.behave = lambda call: (429, {"Retry-After": "3600"}, b'{"error": {"message": "daily quota"}}')
    judge = make_judge(stub.address, patience=600)

    outcomes = await asyncio.wait_for(
        asyncio.gather(*(judge.judge(question) for question in questions(100)), return_exceptions=True), 500
    )

    assert {type(outcome) for outcome in outcomes} == {JudgeUnavailable}
    assert "daily quota" in str(outcomes[0])


async def test_a_call_made_after_such_an_outage_ends_too(stub, make_judge):
    stub.behave = lambda call: (429, {"Retry-After": "3600"}, b'{"error": {"message": "daily quota"}}')
    judge = make_judge(stub.address, patience=600)
    with pytest.raises(JudgeUnavailable):
        await judge.judge(SAME)

    with pytest.raises(JudgeUnavailable, check=coded("server-lost", "patience")):
        await asyncio.wait_for(judge.judge(OTHER), 500)


def test_retry_after_as_number_and_as_date():
    assert retry_after("1.5") == 1.5
    assert retry_after("-3") == 0.0
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) == pytest.approx(60, abs=2)


async def test_a_server_that_restarts_in_the_middle_is_found_again(make_judge):
    port = free_port()
    judge = make_judge(f"http://127.0.0.1:{port}/v1", concurrency=4)
    with JudgeStub(port=port):
        assert (await judge.judge(SAME)).matches
    asking = asyncio.gather(*(judge.judge(question) for question in questions(8)))
    while judge.statistics()["calls"] < 8:  # refused, or cut off with the old server
        await asyncio.sleep(0.005)

    with JudgeStub(port=port):
        assert [verdict.matches for verdict in await asking] == [False] * 8
    assert judge.statistics()["failures"] == 0


async def test_a_server_that_stays_away_is_an_outage(make_judge):
    judge = make_judge("http://127.0.0.1:9/v1", patience=0.05)

    with pytest.raises(JudgeUnavailable, check=coded("server-lost", "http://127.0.0.1:9/v1")):
        await judge.judge(SAME)
    assert judge.statistics()["failures"] == 1


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (None, "Connection refused"),
        ("cut body", "end of file before message length reached"),
        ("closed without a word", "connection closed before message completed"),
    ],
)
async def test_an_outage_says_its_innermost_cause(stub, make_judge, trouble, cause):
    stub.behave = lambda call: TROUBLE[trouble]
    judge = make_judge(stub.address if trouble else "http://127.0.0.1:9/v1", patience=0.05)

    with pytest.raises(JudgeUnavailable, match=cause):
        await judge.judge(SAME)


@pytest.mark.parametrize("limits", [{}, {"requests_per_minute": 600}, {"tokens_per_minute": 6000}], ids=str)
async def test_a_hang_ends_for_all_who_stand_in_line(stub, make_judge, limits):
    """Upstream defect 3: there a call may hang for ever. Here all calls, queued ones too, share one time limit."""
    stub.behave = lambda call: time.sleep(3.0)
    judge = make_judge(stub.address, timeout=0.2, patience=0.3, concurrency=2, **limits)

    outcomes = await asyncio.gather(*(judge.judge(question) for question in questions(60)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {JudgeUnavailable}
    assert "timed out" in str(outcomes[0])
    assert len(stub.calls) < 30  # in turn it would be 60, or more with those that are tried again


async def test_a_refused_account_ends_all_who_wait_for_their_turn(stub, make_judge):
    stub.behave = lambda call: (402, {}, b'{"error": {"message": "no credit"}}')
    judge = make_judge(stub.address, requests_per_minute=1)  # the second call would wait for a minute

    outcomes = await asyncio.wait_for(
        asyncio.gather(*(judge.judge(question) for question in questions(100)), return_exceptions=True), 50
    )

    assert {type(outcome) for outcome in outcomes} == {JudgeUnavailable}
    assert len(stub.calls) == 1


async def test_after_an_outage_a_later_call_tries_again(stub, make_judge):
    stub.behave = lambda call: TROUBLE["500"]
    judge = make_judge(stub.address, patience=0.05)
    with pytest.raises(JudgeUnavailable):
        await judge.judge(SAME)
    stub.behave = lambda call: None

    assert (await judge.judge(SAME)).matches


async def test_an_unknown_model_has_a_shorter_limit_and_a_clear_error(stub, make_judge):
    stub.behave = lambda call: TROUBLE["unknown model"]
    judge = make_judge(stub.address, patience=600, unknown_model_patience=0.1)

    with pytest.raises(JudgeUnavailable, check=coded("server-lost", "HTTP 404")):
        await asyncio.wait_for(judge.judge(SAME), 60)


async def test_a_server_that_was_away_for_longer_may_still_load_its_model(make_judge):
    """The shorter limit counts from the first unknown-model answer, not from earlier failures."""
    port = free_port()
    judge = make_judge(f"http://127.0.0.1:{port}/v1", patience=60, unknown_model_patience=0.2)
    asked = judge.judge(SAME)
    await asyncio.sleep(0.4)

    with JudgeStub(port=port) as server:
        server.behave = lambda call: TROUBLE["unknown model"] if call == 1 else None
        assert (await asked).matches
        assert len(server.calls) == 2


async def test_a_404_that_names_no_model_is_a_restart(stub, make_judge):
    stub.behave = lambda call: TROUBLE["404 while restarting"] if call < 20 else None
    judge = make_judge(stub.address, patience=60, unknown_model_patience=0.0)

    assert (await judge.judge(SAME)).matches


@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_a_refused_request_is_not_repeated(stub, make_judge, status):
    stub.behave = lambda call: (status, {}, b'{"error": {"message": "too long"}}')
    judge = make_judge(stub.address, constrained=False, thinking="default")

    with pytest.raises(JudgeRejected, check=coded("refused-by-server", "too long")):
        await judge.judge(SAME)
    assert len(stub.calls) == 1
    assert judge.statistics()["failures"] == 1


@pytest.mark.parametrize("status", [401, 402])
async def test_a_refused_account_is_an_outage_at_once(stub, make_judge, status):
    """Every sample would fail, so the run has to stop; masking samples one by one would hide the error."""
    stub.behave = lambda call: (status, {}, b'{"error": {"message": "no credit"}}')
    judge = make_judge(stub.address, patience=60)

    with pytest.raises(JudgeUnavailable, check=coded("server-lost", "no credit")):
        await judge.judge(SAME)
    assert len(stub.calls) == 1


async def test_one_question_that_always_fails_does_not_stop_the_run(stub, make_judge):
    """A prompt that crashes the server's worker, while other calls succeed, is that sample's fault."""

    def behave(call: int):
        return TROUBLE["500"] if "right" in stub.calls[call - 1]["messages"][0]["content"] else None

    stub.behave = behave
    judge = make_judge(stub.address, patience=60)
    poisoned = judge.judge(OTHER)
    for question in questions(400):
        assert not (await judge.judge(question)).matches
        if poisoned.done():
            break

    with pytest.raises(JudgeRejected, check=coded("always-fails", "HTTP 500: oops")):
        await asyncio.wait_for(poisoned, 50)


async def test_a_busy_server_is_never_the_samples_fault(stub, make_judge):
    def behave(call: int):
        return TROUBLE["429"] if "right" in stub.calls[call - 1]["messages"][0]["content"] and call < 60 else None

    stub.behave = behave
    judge = make_judge(stub.address, patience=60)
    throttled = judge.judge(OTHER)
    for question in questions(80):
        await judge.judge(question)

    assert not (await asyncio.wait_for(throttled, 60)).matches


async def test_calls_in_flight_are_limited_and_share_connections(stub, make_judge):
    stub.delay = 0.1
    judge = make_judge(stub.address, concurrency=3)

    await asyncio.gather(*(judge.judge(question) for question in questions(12)))

    assert len(stub.calls) == 12
    assert stub.most_in_flight == 3
    # the pool takes a connection back in its own thread, a moment after the reply: now and then one more is opened
    assert 3 <= stub.connections < 12


async def test_a_question_that_is_throttled_beyond_all_patience_while_others_are_answered(stub, make_judge):
    stub.behave = lambda call: TROUBLE["429"] if "right" in stub.calls[call - 1]["messages"][0]["content"] else None
    judge = make_judge(stub.address, patience=0.3)
    throttled = judge.judge(OTHER)
    number = 0
    while not throttled.done():
        number += 1
        await judge.judge(Question("", "a", f"b{number}"))

    with pytest.raises(JudgeRejected, check=coded("always-fails", "slow down")):
        await throttled


async def test_calls_go_where_the_fewest_are_in_flight(make_judge):
    with JudgeStub() as slow, JudgeStub() as fast:
        slow.delay, fast.delay = 0.3, 0.01
        judge = make_judge(slow.address, base_urls=[fast.address], concurrency=8)

        await asyncio.gather(*(judge.judge(question) for question in questions(60)))

        assert len(slow.calls) + len(fast.calls) == 60
        assert slow.most_in_flight <= 5
        assert len(fast.calls) > 2 * len(slow.calls)


async def test_a_dead_server_among_several_costs_nothing(make_judge):
    dead = f"http://127.0.0.1:{free_port()}/v1"
    with JudgeStub() as living:
        living.delay = 0.01
        judge = make_judge(dead, base_urls=[living.address], concurrency=8, patience=5)

        verdicts = await asyncio.gather(*(judge.judge(question) for question in questions(60)))

        assert [verdict.matches for verdict in verdicts] == [False] * 60
        assert len(living.calls) == 60
    assert judge.statistics()["retries"] <= 8  # those in flight when it was found out


async def test_a_server_that_comes_back_gets_calls_again(make_judge, monkeypatch):
    monkeypatch.setattr(server_state, "_PROBE_AFTER", 0.0)
    with JudgeStub() as one, JudgeStub() as two:
        one.delay = two.delay = 0.01
        one.behave = lambda call: TROUBLE["500"] if call <= 3 else None
        judge = make_judge(one.address, base_urls=[two.address], concurrency=4)

        await asyncio.gather(*(judge.judge(question) for question in questions(80)))

        assert len(one.calls) > 10
    assert judge.statistics()["failures"] == 0


def test_a_failed_server_gets_one_call_at_a_time():
    servers = Addresses(["http://a/v1/", "http://b/v1"])
    one, two = servers.all
    assert one.url == "http://a/v1"
    servers.failed(one, now=0.0, retry_after=None)

    assert servers.pick(now=0.1) is two
    assert servers.pick(now=9.0) is one  # a probe
    one.in_flight = 1
    assert servers.pick(now=9.0) is two
    servers.failed(two, now=9.0, retry_after=30.0)
    assert servers.pick(now=9.1) is one  # the other asked to be left alone
    servers.failed(one, now=9.2, retry_after=5.0)
    assert servers.pick(now=9.3) is None
    assert servers.pause(now=9.3) == pytest.approx(4.9)
    one.in_flight = 0
    servers.succeeded(one)
    assert servers.pick(now=15.0) is one


async def test_requests_a_minute(stub, make_judge):
    judge = make_judge(stub.address, requests_per_minute=600)  # 10 at once, then one every 0.1 s

    start = time.monotonic()
    await asyncio.gather(*(judge.judge(question) for question in questions(20)))

    assert len(stub.calls) == 20
    assert max(call["at"] for call in stub.calls) - start >= 0.85


@pytest.mark.parametrize(("length", "max_tokens"), [(4_000, 4), (1, 1_600)], ids=["of the prompt", "of the reply"])
async def test_tokens_a_minute_of_a_client(stub, make_judge, length, max_tokens):
    # Each is taken for 1,600 tokens and a little: 12 at once, then two a second.
    judge = make_judge(stub.address, tokens_per_minute=120 * 1_600, max_tokens=max_tokens)

    start = time.monotonic()
    await asyncio.gather(*(judge.judge(Question("", "a", f"{number} " + "b" * length)) for number in range(13)))

    assert len(stub.calls) == 13
    assert max(call["at"] for call in stub.calls) - start >= 0.45


async def test_a_rate_limit_in_tokens():
    rate_limit = RateLimit(None, 6000)  # 100 a second, 600 at once
    rate_limit.observe(characters=100, tokens=50)
    start = time.monotonic()
    for _ in range(7):
        await rate_limit.acquire(characters=180, max_tokens=10)  # 100 tokens each

    assert 0.9 <= time.monotonic() - start < 30  # 60 if a second were taken for a minute
    await asyncio.wait_for(
        RateLimit(None, 6000).acquire(characters=10**9, max_tokens=10), 60
    )  # more than the bucket holds


async def test_patience_is_said_aloud_once(stub, make_judge, caplog, monkeypatch):
    monkeypatch.setattr(connection_module, "_LOG_WAIT_AFTER", -1.0)
    stub.behave = lambda call: TROUBLE["500"] if call < 5 else None

    await make_judge(stub.address, patience=60).judge(SAME)

    notes = [record.getMessage() for record in caplog.records if record.name == connection_module.__name__]
    assert len(notes) == 1
    assert [word for word in ("judge", " 60 s", "HTTP 500") if word not in notes[0]] == []


async def test_a_retry_that_helps_at_once_is_no_news(stub, make_judge, caplog):
    stub.behave = lambda call: TROUBLE["500"] if call == 1 else None

    await make_judge(stub.address, patience=60).judge(SAME)

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "tokens", [10**400, -1, 1.5, "3", None], ids=["endless", "below zero", "broken", "text", "none"]
)
async def test_a_count_of_tokens_that_is_none_is_not_counted(stub, make_judge, tokens):
    reply = {"choices": [{"message": {"content": "YES"}}], "usage": {"prompt_tokens": tokens}}
    stub.behave = lambda call: (200, {}, json.dumps(reply).encode())
    judge = make_judge(stub.address, tokens_per_minute=10**6, price_prompt=1.0, price_completion=1.0)

    assert (await judge.judge(SAME)).matches
    assert (judge.statistics()["prompt_tokens"], judge.statistics()["cost"]) == (0, 0)
