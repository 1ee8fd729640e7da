import asyncio
import json
import logging
import socket

import pytest
from tenacity import wait_fixed

from medix_r1.errors import ConfigError, JudgeRejected, JudgeUnavailable
from medix_r1.models import judge as judge_module
from medix_r1.models.judge import ChatJudge, Question, Verdict, parse_verdict, strip_thinking
from tests.support.judge_stub import JudgeStub

SAME = Question("Which side?", "left lung", "Left lung.")
OTHER = Question("Which side?", "left lung", "right lung")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(judge_module, "wait_random_exponential", lambda multiplier, max: wait_fixed(0.01))


@pytest.fixture
def stub():
    with JudgeStub() as server:
        yield server


@pytest.fixture
async def make_judge():
    made = []

    def make(address: str, **settings) -> ChatJudge:
        judge = ChatJudge(**{"base_url": address, "model": "m", "prompt": "match_short", "timeout": 5, **settings})
        made.append(judge)
        return judge

    yield make
    for judge in made:
        await judge.aclose()


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("YES", True),
        ("NO", False),
        ("yes", True),
        (" \n No", False),
        ("YES.", True),
        ("**YES**", True),
        ('"NO"', False),
        ("(yes)", True),
        ("Yes, they mean the same.", True),
        ("NO, YES", False),  # upstream defect 2: there YES is looked for anywhere
        ("Eyes", None),
        ("NOT YES", None),
        ("YESTERDAY", None),
        ("None", None),
        ("The answer is YES", None),
        ("1. YES", None),
        ("", None),
        ("   ", None),
        ("?", None),
        ("<think>maybe YES</think>NO", False),
        ("<think>a</think>\n\nYES", True),
        ("the template opened the block</think>NO", False),
        ("<think>NO</think>I think </think> YES", True),
        ("<think>it could be YES", None),
        (" <think>NO", None),
        ("<think>NO</think>", None),
        ("YES" * 100_000, None),
    ],
)
def test_a_verdict_is_the_first_word(reply, verdict):
    assert parse_verdict(reply) is verdict


def test_only_a_leading_think_block_is_cut():
    assert strip_thinking("YES <think>") == "YES <think>"


async def test_verdicts_and_what_the_server_sent(stub, make_judge):
    judge = make_judge(stub.address)

    assert await judge.judge(SAME) == Verdict(True, "YES")
    assert await judge.judge(OTHER) == Verdict(False, "NO")


async def test_equal_questions_in_flight_are_asked_once(stub, make_judge):
    stub.delay = 0.05
    judge = make_judge(stub.address)

    verdicts = await asyncio.gather(*(judge.judge(question) for question in [SAME, OTHER] * 20))

    assert len(stub.calls) == judge.calls == 2
    assert judge.cache_hits == 38
    assert [verdict.matches for verdict in verdicts] == [True, False] * 20


async def test_answers_are_kept(stub, make_judge):
    judge = make_judge(stub.address)

    first = await judge.judge(SAME)
    second = await judge.judge(SAME)

    assert first == second
    assert len(stub.calls) == 1


async def test_a_different_question_is_another_case(stub, make_judge):
    judge = make_judge(stub.address)

    await judge.judge(SAME)
    await judge.judge(Question("Which lobe?", SAME.reference, SAME.prediction))

    assert len(stub.calls) == 2


async def test_an_answer_outlives_the_caller_that_asked_for_it(stub, make_judge):
    stub.delay = 0.05
    judge = make_judge(stub.address)
    caller = asyncio.create_task(judge.judge(SAME))
    while not stub.calls:
        await asyncio.sleep(0.005)
    caller.cancel()
    await asyncio.wait([caller, *judge._in_flight.values()])

    assert (await judge.judge(SAME)).matches
    assert len(stub.calls) == 1


async def test_a_failure_is_not_kept(stub, make_judge):
    stub.behave = lambda call: (400, {}, b"{}") if call == 1 else None
    judge = make_judge(stub.address)

    with pytest.raises(JudgeRejected):
        await judge.judge(SAME)

    assert (await judge.judge(SAME)).matches


async def test_all_waiters_hear_of_a_failure(stub, make_judge):
    stub.delay, stub.behave = 0.05, lambda call: (400, {}, b"{}")
    judge = make_judge(stub.address)

    outcomes = await asyncio.gather(*(judge.judge(SAME) for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [JudgeRejected] * 5
    assert len(stub.calls) == 1


async def test_calls_in_flight_are_limited(stub, make_judge):
    open_calls, most = 0, 0
    judge = make_judge(stub.address, concurrency=3)
    complete = judge._complete

    async def counted(text: str) -> str:
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        try:
            return await complete(text)
        finally:
            open_calls -= 1

    judge._complete = counted
    await asyncio.gather(*(judge.judge(Question("", "a", f"b{i}")) for i in range(12)))

    assert most == 3


CUT = b'{"id": "1", "object": "chat.comp'
PASSING_TROUBLE = {
    "500": (500, {}, b"oops"),
    "503": (503, {}, b"loading"),
    "429": (429, {"Retry-After": "1"}, b"{}"),
    "404 while the model loads": (404, {}, b"{}"),
    "cut body": (200, {}, CUT),
    "body shorter than announced": (200, {"Content-Length": "400", "Connection": "close"}, CUT),
    "no JSON": (200, {}, b"<html>hello</html>"),
    "JSON that is no object": (200, {}, b"[1, 2]"),
    "JSON null": (200, {}, b"null"),
    "no choices": (200, {}, b'{"choices": []}'),
    "choices null": (200, {}, b'{"choices": null}'),
    "no message": (200, {}, b'{"choices": [{"index": 0}]}'),
    "plain text": (200, {"Content-Type": "text/plain"}, b"YES"),
}


@pytest.mark.parametrize("trouble", PASSING_TROUBLE.values(), ids=PASSING_TROUBLE)
async def test_passing_trouble_is_waited_out(stub, make_judge, trouble):
    def behave(call: int):
        return trouble if call <= 2 else None

    stub.behave = behave
    judge = make_judge(stub.address)

    assert (await judge.judge(SAME)).matches
    assert len(stub.calls) == judge.calls == 3
    assert judge.failures == 0


async def test_a_server_that_comes_back_is_found_again(make_judge):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    judge = make_judge(f"http://127.0.0.1:{port}/v1")
    asking = asyncio.create_task(judge.judge(SAME))
    while judge.calls < 3:  # connection refused
        await asyncio.sleep(0.005)

    with JudgeStub(port=port) as stub:
        assert (await asking).matches
        assert len(stub.calls) == 1


async def test_a_server_that_stays_away_is_an_outage(make_judge):
    judge = make_judge("http://127.0.0.1:9/v1", patience=0.05)

    with pytest.raises(JudgeUnavailable, match=r"judge at http://127.0.0.1:9/v1"):
        await judge.judge(SAME)
    assert judge.failures == 1


async def test_a_call_without_an_answer_times_out(stub, make_judge):
    """Upstream defect 3: there a call may hang for ever."""
    stub.delay = 0.3
    judge = make_judge(stub.address, timeout=0.05, patience=0.0)

    with pytest.raises(JudgeUnavailable, match="timed out"):
        await judge.judge(SAME)


async def test_patience_is_said_aloud_once(stub, make_judge, caplog, monkeypatch):
    monkeypatch.setattr(judge_module, "_WAITING_NOTE_AFTER", -1.0)
    stub.behave = lambda call: (500, {}, b"{}") if call < 5 else None

    await make_judge(stub.address, patience=60).judge(SAME)

    notes = [record.getMessage() for record in caplog.records if record.name == judge_module.__name__]
    assert len(notes) == 1
    assert "of at most 60 s" in notes[0]


async def test_a_retry_that_helps_at_once_is_no_news(stub, make_judge, caplog):
    stub.behave = lambda call: (500, {}, b"{}") if call == 1 else None

    await make_judge(stub.address, patience=60).judge(SAME)

    assert [record for record in caplog.records if record.name == judge_module.__name__] == []


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422])
async def test_a_refused_request_is_not_repeated(stub, make_judge, status):
    stub.behave = lambda call: (status, {}, json.dumps({"error": {"message": "too long"}}).encode())
    judge = make_judge(stub.address)

    with pytest.raises(JudgeRejected, match="too long"):
        await judge.judge(SAME)
    assert len(stub.calls) == 1
    assert judge.failures == 1


async def test_unreadable_replies_are_given_up(stub, make_judge):
    stub.answer = lambda prompt: "Eyes"
    judge = make_judge(stub.address, parse_attempts=2)

    with pytest.raises(JudgeRejected, match=r"'Eyes', which starts with neither YES nor NO"):
        await judge.judge(SAME)
    assert len(stub.calls) == 2
    assert judge.failures == 1


async def test_an_empty_reply_is_no_verdict(stub, make_judge):
    stub.answer = lambda prompt: None

    with pytest.raises(JudgeRejected):
        await make_judge(stub.address, parse_attempts=1).judge(SAME)


async def test_one_readable_reply_is_enough(stub, make_judge):
    replies = iter(["hm", "YES"])
    stub.answer = lambda prompt: next(replies)

    assert (await make_judge(stub.address).judge(SAME)).matches


async def test_what_a_request_holds(stub, make_judge):
    await make_judge(stub.address, model="judge-name", max_tokens=7).judge(SAME)

    (call,) = stub.calls
    assert call["model"] == "judge-name"
    assert call["temperature"] == 0.0
    assert call["max_tokens"] == 7
    assert call["structured_outputs"] == {"choice": ["YES", "NO"]}
    assert call["chat_template_kwargs"] == {"enable_thinking": False}


async def test_nothing_is_constrained_unasked(stub, make_judge):
    await make_judge(stub.address, constrained=False, thinking="default").judge(SAME)

    assert not {"structured_outputs", "chat_template_kwargs"} & stub.calls[0].keys()


async def test_thinking_is_cut_off(stub, make_judge):
    stub.answer = lambda prompt: "<think>YES, or rather</think>\n\nNO"

    verdict = await make_judge(stub.address, constrained=False, thinking="cut", max_tokens=512).judge(SAME)

    assert not verdict.matches
    assert "chat_template_kwargs" not in stub.calls[0]


def test_a_constrained_judge_cannot_think():
    with pytest.raises(ConfigError, match=r"judge\.client\.constrained: .* set it to false"):
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", thinking="cut")


KEY = "sk-secret-0123456789"


async def test_the_key_goes_to_the_server_and_nowhere_else(stub, make_judge, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    judge = make_judge(stub.address, api_key_env="SOME_KEY")
    await judge.judge(SAME)
    stub.behave = lambda call: (401, {}, b'{"error": {"message": "bad key"}}')
    with pytest.raises(JudgeRejected) as caught:
        await judge.judge(OTHER)

    assert [call["authorization"] for call in stub.calls] == [f"Bearer {KEY}"] * 2
    chain = [caught.value, caught.value.__cause__]
    said = [repr(judge), str(vars(judge)), caplog.text, *map(str, chain), *map(repr, chain)]
    assert not [text for text in said if KEY in text]


async def test_a_server_that_echoes_the_key_does_not_get_it_into_our_messages(stub, make_judge, monkeypatch, caplog):
    monkeypatch.setenv("SOME_KEY", KEY)
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    for status, error in ((401, JudgeRejected), (500, JudgeUnavailable)):
        stub.behave = lambda call, status=status: (status, {}, body)
        with pytest.raises(error) as caught:
            await make_judge(stub.address, api_key_env="SOME_KEY", patience=0.02).judge(SAME)
        assert "Incorrect API key" in str(caught.value)
        assert KEY not in str(caught.value)
    assert KEY not in caplog.text


async def test_without_a_key_none_of_the_environment_is_sent(stub, make_judge, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    await make_judge(stub.address).judge(SAME)

    assert KEY not in stub.calls[0]["authorization"]


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_not_set(monkeypatch, value):
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)

    with pytest.raises(ConfigError, match=r"judge\.client\.api_key_env: the environment variable SOME_KEY is not set"):
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="SOME_KEY")


async def test_a_proxy_of_the_environment_is_not_used(stub, make_judge, monkeypatch):
    with JudgeStub() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)

        assert (await make_judge(stub.address).judge(SAME)).matches

    assert (len(stub.calls), len(proxy.calls)) == (1, 0)


def test_an_unknown_prompt():
    with pytest.raises(ConfigError, match="prompt 'nope' does not exist"):
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", prompt="nope")
