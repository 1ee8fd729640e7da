import asyncio
import base64
import json
import math
import sys
from unittest.mock import ANY

import pytest

from medix_r1.errors import BudgetSpent, ConfigError, JudgeRejected, JudgeUnavailable
from medix_r1.models.judge import ChatJudge, Question, Verdict
from tests.support.judge_stub import JudgeStub
from tests.support.problems import coded, only

SAME = Question("Which side?", "left lung", "Left lung.")
OTHER = Question("Which side?", "left lung", "right lung")


async def test_verdicts_and_what_the_server_sent(stub, make_judge):
    judge = make_judge(stub.address)

    assert await judge.judge(SAME) == Verdict(True, "YES")
    assert await judge.judge(OTHER) == Verdict(False, "NO")


async def test_equal_questions_in_flight_are_asked_once(stub, make_judge):
    stub.delay = 0.05
    judge = make_judge(stub.address)

    verdicts = await asyncio.gather(*(judge.judge(question) for question in [SAME, OTHER] * 20))

    assert len(stub.calls) == judge.statistics()["calls"] == 2
    assert judge.statistics()["shared"] == 38
    assert [verdict.matches for verdict in verdicts] == [True, False] * 20


async def test_answers_are_kept(stub, make_judge):
    judge = make_judge(stub.address)

    assert await judge.judge(SAME) == await judge.judge(SAME)
    assert (len(stub.calls), judge.statistics()["cache_hits"]) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        Question("Which lobe?", SAME.reference, SAME.prediction),
        Question(SAME.question, "left lungs", SAME.prediction),
        Question(SAME.question, SAME.reference, "left lung"),
        Question(SAME.question, SAME.reference, SAME.prediction, choices=("left lung", "right lung")),
        Question(SAME.question, SAME.reference, SAME.prediction, images=(b"\x89PNG",)),
    ],
)
async def test_a_different_question_is_another_case(stub, make_judge, other):
    judge = make_judge(stub.address)

    await judge.judge(SAME)
    await judge.judge(other)

    assert len(stub.calls) == 2


async def test_an_answer_outlives_the_caller_that_asked_for_it(stub, make_judge):
    stub.delay = 0.05
    judge = make_judge(stub.address)
    caller = judge.judge(SAME)
    while not stub.calls:
        await asyncio.sleep(0.005)
    caller.cancel()
    await asyncio.wait([call for call, _ in judge._in_flight.values()])

    assert (await judge.judge(SAME)).matches
    assert len(stub.calls) == 1


async def test_a_failure_is_not_kept(stub, make_judge):
    stub.behave = lambda call: (413, {}, b"{}") if call == 1 else None
    judge = make_judge(stub.address)

    with pytest.raises(JudgeRejected):
        await judge.judge(SAME)

    assert (await judge.judge(SAME)).matches


async def test_all_waiters_hear_of_a_failure(stub, make_judge):
    stub.delay, stub.behave = 0.05, lambda call: (413, {}, b"{}")
    judge = make_judge(stub.address)

    outcomes = await asyncio.gather(*(judge.judge(SAME) for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [JudgeRejected] * 5
    assert len(stub.calls) == 1


async def test_unreadable_replies_are_given_up(stub, make_judge):
    stub.answer = lambda prompt: "YES/NO"
    judge = make_judge(stub.address, parse_attempts=2)

    with pytest.raises(JudgeRejected, check=coded("no-verdict", "'YES/NO'")):
        await judge.judge(SAME)
    assert len(stub.calls) == 2
    assert judge.statistics()["rejected"] == 1


async def test_an_empty_reply_names_its_finish_reason_and_the_limit(stub, make_judge):
    stub.answer, stub.finish_reason = lambda prompt: None, "content_filter"

    with pytest.raises(JudgeRejected, check=coded("empty-reply", "content_filter", 4)):
        await make_judge(stub.address, parse_attempts=1).judge(SAME)


async def test_tokens_that_went_into_thinking_are_named_and_quoted(stub, make_judge):
    stub.answer, stub.finish_reason = lambda prompt: "<thinking>Both texts name the femur, so", "length"
    judge = make_judge(stub.address, parse_attempts=1, constrained=False, thinking="cut", max_tokens=512)

    with pytest.raises(JudgeRejected, check=coded("cut-while-thinking", 512, "name the femur, so")):
        await judge.judge(SAME)


async def test_content_may_be_a_list_of_parts(stub, make_judge):
    stub.answer = lambda prompt: [{"type": "thinking", "thinking": "NO?"}, {"type": "text", "text": "Verdict: YES"}]

    assert await make_judge(stub.address).judge(SAME) == Verdict(True, "Verdict: YES")


async def test_one_readable_reply_is_enough(stub, make_judge):
    replies = iter(["hm", "YES"])
    stub.answer = lambda prompt: next(replies)

    assert (await make_judge(stub.address).judge(SAME)).matches


async def test_what_a_request_holds(stub, make_judge):
    await make_judge(stub.address, model="judge-name", max_tokens=7).judge(SAME)

    (call,) = stub.calls
    assert call["path"] == "/v1/chat/completions"
    assert call["model"] == "judge-name"
    assert call["temperature"] == 0.0
    assert call["max_tokens"] == 7
    assert call["structured_outputs"] == {"choice": ["YES", "NO"]}
    assert call["chat_template_kwargs"] == {"enable_thinking": False}


async def test_nothing_is_constrained_unasked(stub, make_judge):
    await make_judge(stub.address, constrained=False, thinking="default").judge(SAME)

    assert not {"structured_outputs", "chat_template_kwargs", "logprobs"} & stub.calls[0].keys()


REFUSED = (400, {}, b'{"error": {"message": "unknown field"}}')


@pytest.mark.parametrize(
    ("refused", "left", "calls"),
    [
        ({"structured_outputs"}, {"chat_template_kwargs"}, 2),
        ({"structured_outputs", "chat_template_kwargs"}, set(), 3),
    ],
)
async def test_a_server_without_structured_outputs_is_noticed_once(stub, make_judge, caplog, refused, left, calls):
    stub.behave = lambda call: REFUSED if refused & stub.calls[call - 1].keys() else None
    judge = make_judge(stub.address)

    assert (await judge.judge(SAME)).matches
    assert len(stub.calls) == calls
    assert not (await judge.judge(OTHER)).matches
    assert not (await judge.judge(Question("", "a", "b"))).matches

    assert len(stub.calls) == calls + 2
    assert {"structured_outputs", "chat_template_kwargs"} & stub.calls[-1].keys() == left
    (said,) = [record.getMessage() for record in caplog.records if "refuses" in record.getMessage()]
    assert [name for name in refused if name not in said] == []


async def test_without_structured_outputs_only_the_first_word_counts(stub, make_judge):
    stub.behave = lambda call: REFUSED if "structured_outputs" in stub.calls[call - 1] else None
    stub.answer = lambda prompt: "The answer is YES"

    with pytest.raises(JudgeRejected, check=coded("no-verdict")):
        await make_judge(stub.address).judge(SAME)


async def test_a_refused_question_does_not_cost_the_constraint(stub, make_judge, caplog):
    """A prompt that is too long is refused with and without extensions; the next one gets the constraint again."""
    stub.behave = lambda call: REFUSED if "right" in stub.calls[call - 1]["messages"][0]["content"] else None
    judge = make_judge(stub.address)

    with pytest.raises(JudgeRejected, check=coded("refused-by-server", "unknown field")):
        await judge.judge(OTHER)
    assert (await judge.judge(SAME)).matches
    assert "structured_outputs" in stub.calls[-1]
    before = len(stub.calls)
    with pytest.raises(JudgeRejected):
        await judge.judge(OTHER)

    assert len(stub.calls) == before + 1  # it is known by now that the server takes all of it
    assert "refuses" not in caplog.text


async def test_thinking_is_cut_off(stub, make_judge):
    stub.answer = lambda prompt: "<think>YES, or rather</think>\n\nNO"

    verdict = await make_judge(stub.address, constrained=False, thinking="cut", max_tokens=512).judge(SAME)

    assert not verdict.matches
    assert "chat_template_kwargs" not in stub.calls[0]


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({"thinking": "cut"}, {"constrained": "constrained-cannot-think"}),
        ({"mode": "graded", "thinking": "off"}, {"mode": "not-a-choice", "thinking": "not-a-choice"}),
        ({"mode": "probability", "thinking": "cut", "constrained": False}, {"mode": "probability-cannot-think"}),
        (
            {"mode": "graded", "concurrency": 0, "timeout": 0, "patience": -1, "requests_per_minute": 0},
            {
                "mode": "not-a-choice",
                "concurrency": "not-a-count",
                "patience": "out-of-range",
                "timeout": "out-of-range",
                "requests_per_minute": "out-of-range",
            },
        ),
        (
            {"max_tokens": 0, "parse_attempts": 0, "cache_size": 0},
            dict.fromkeys(("max_tokens", "parse_attempts", "cache_size"), "not-a-count"),
        ),
        ({"cost_cap": 1}, {"cost_cap": "needs-prices"}),
        ({"base_urls": ["http://me:pass@127.0.0.1/v1"]}, {"base_url": "holds-a-password"}),
        ({"timeout": float("inf")}, {"timeout": "out-of-range"}),
    ],
)
def test_wrong_settings(settings, problems):
    wrong = [(f"judge.client.{name}", code) for name, code in problems.items()]
    with pytest.raises(ConfigError, check=only(*wrong)):
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", **settings)


def test_an_unknown_prompt():
    with pytest.raises(ConfigError, check=only(("judge.client.prompt", "no-such-prompt"))):
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", prompt="nope")


async def test_a_probability(stub, make_judge):
    stub.tokens = {"YES": math.log(0.3), " yes": math.log(0.3), "NO": math.log(0.2), "Hm": math.log(0.2)}
    judge = make_judge(stub.address, mode="probability")

    verdict = await judge.judge(SAME)

    assert verdict.probability == pytest.approx(0.75)
    assert verdict.matches
    assert verdict == await judge.judge(SAME)
    (call,) = stub.calls
    assert (call["logprobs"], call["top_logprobs"], call["max_tokens"]) == (True, 20, 1)


async def test_a_first_token_that_is_neither_word_is_no_probability(stub, make_judge):
    stub.tokens = {"The": -0.1, "It": -2.0}

    with pytest.raises(JudgeRejected, check=coded("no-verdict")):
        await make_judge(stub.address, mode="probability").judge(SAME)


async def test_a_log_probability_beyond_all_numbers_is_trouble_of_the_server(stub, make_judge):
    stub.tokens = {"YES": 1000.0}

    with pytest.raises(JudgeUnavailable, check=coded("server-lost")):
        await make_judge(stub.address, mode="probability", patience=0.02).judge(SAME)


async def test_a_server_without_log_probabilities_is_no_samples_fault(stub, make_judge, monkeypatch):
    stub.behave = lambda call: (200, {}, b'{"choices": [{"message": {"content": "YES"}, "logprobs": null}]}')

    with pytest.raises(JudgeUnavailable, check=coded("no-log-probabilities", "judge.client.mode=binary")):
        await make_judge(stub.address, mode="probability").judge(SAME)
    assert len(stub.calls) == 1


async def test_images_go_before_the_text(stub, make_judge):
    images = (b"\x89PNG 1", b"\xff\xd8\xff 2")
    await make_judge(stub.address).judge(Question("What?", "left lung", "left lung", images=images))

    *pictures, text = stub.calls[0]["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in pictures] == [
        f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
        for kind, image in zip(("png", "jpeg"), images, strict=True)
    ]
    assert text["text"].startswith("Question: What?")


async def test_what_is_no_image_is_never_sent(stub, make_judge):
    with pytest.raises(JudgeRejected, check=coded("not-an-image")):
        await make_judge(stub.address).judge(Question("", "a", "b", images=(b"/etc/passwd",)))
    assert stub.calls == []


async def test_tokens_and_cost(stub, make_judge):
    judge = make_judge(stub.address, price_prompt=1000.0, price_completion=5000.0)
    await judge.judge(SAME)

    counted = judge.statistics()
    words = len(stub.calls[0]["messages"][0]["content"].split())
    assert (counted["prompt_tokens"], counted["completion_tokens"]) == (words, 1)
    assert counted["cost"] == pytest.approx((words * 1000 + 5000) / 1e6)
    assert 0 < counted["latency_p50"] <= counted["latency_p95"] <= counted["latency_max"] < 5


async def test_the_cost_cap_ends_the_run(stub, make_judge):
    judge = make_judge(stub.address, price_prompt=0.0, price_completion=1e6, cost_cap=2.0)
    await judge.judge(SAME)
    await judge.judge(OTHER)

    with pytest.raises(BudgetSpent, check=coded("cost-cap-reached", "2.00")):
        await judge.judge(Question("", "a", "b"))
    assert (await judge.judge(SAME)).matches  # what is known costs nothing
    assert len(stub.calls) == 2


async def test_a_cost_cap_that_cannot_be_kept(stub, make_judge):
    stub.behave = lambda call: (200, {}, b'{"choices": [{"message": {"content": "YES"}}]}')

    with pytest.raises(BudgetSpent, check=coded("cost-unknown")):
        await make_judge(stub.address, price_prompt=1.0, price_completion=1.0, cost_cap=2.0).judge(SAME)


async def test_answers_on_disk_are_found_by_another_process(stub, make_judge, tmp_path):
    first = make_judge(stub.address, cache_path=str(tmp_path / "answers"))
    await asyncio.gather(first.judge(SAME), first.judge(OTHER))
    await first.aclose()
    code = (
        "import asyncio, sys\n"
        "from medix_r1.models.judge import ChatJudge, Question\n"
        "async def main():\n"
        "    settings = dict(base_url='http://127.0.0.1:9/v1', model='m', prompt='match_short', patience=0)\n"
        "    judge = ChatJudge(cache_path=sys.argv[1], **settings)\n"
        "    for prediction in ('Left lung.', 'right lung'):\n"
        "        print((await judge.judge(Question('Which side?', 'left lung', prediction))).matches)\n"
        "    print(judge.statistics()['disk_hits'])\n"
        "    await judge.aclose()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path / "answers"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert output.decode().split() == ["True", "False", "2.0"]


@pytest.mark.parametrize(
    "settings",
    [
        *({"model": "n"}, {"revision": "abc"}, {"prompt": "match"}, {"mode": "probability"}, {"max_tokens": 9}),
        *({"constrained": False}, {"thinking": "default"}),
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_other_settings_have_answers_of_their_own(stub, make_judge, tmp_path, settings):
    stub.answer = lambda prompt: "YES"
    for changed in ({}, settings):
        await make_judge(stub.address, cache_path=str(tmp_path), **changed).judge(SAME)

    assert len(stub.calls) == 2


async def test_a_probability_survives_the_disk(stub, make_judge, tmp_path):
    stub.tokens = {"YES": math.log(0.3), "NO": math.log(0.6)}
    verdicts = [
        await make_judge(stub.address, mode="probability", cache_path=str(tmp_path)).judge(SAME) for _ in range(2)
    ]

    assert verdicts[0] == verdicts[1] == Verdict(False, "YES", ANY)
    assert verdicts[0].probability == pytest.approx(1 / 3)
    assert len(stub.calls) == 1


KEY = "sk-secret-0123456789"


async def test_the_key_goes_to_the_servers_and_nowhere_else(make_judge, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    with JudgeStub() as first, JudgeStub() as second:
        judge = make_judge(first.address, base_urls=[second.address], api_key_env="SOME_KEY", concurrency=2)
        first.delay = second.delay = 0.05
        await asyncio.gather(judge.judge(SAME), judge.judge(OTHER))
        first.behave = second.behave = lambda call: (401, {}, b'{"error": {"message": "bad key"}}')
        with pytest.raises(JudgeUnavailable, check=coded("server-lost", "bad key")) as caught:
            await judge.judge(Question("", "a", "b"))

        calls = first.calls + second.calls
        assert [call["authorization"] for call in calls] == [f"Bearer {KEY}"] * 3
        assert first.calls
        assert second.calls
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    said = [repr(judge), str(vars(judge)), caplog.text, *map(str, chain), *map(repr, chain)]
    assert not [text for text in said if KEY in text]


async def test_a_server_that_echoes_the_key_does_not_get_it_into_our_messages(stub, make_judge, monkeypatch, caplog):
    monkeypatch.setenv("SOME_KEY", KEY)
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    for status, error in ((401, JudgeUnavailable), (403, JudgeRejected), (500, JudgeUnavailable)):
        stub.behave = lambda call, status=status: (status, {}, body)
        with pytest.raises(error) as caught:
            await make_judge(stub.address, api_key_env="SOME_KEY", patience=0.02).judge(SAME)
        assert "Incorrect API key" in str(caught.value)
        assert KEY not in str(caught.value)
    assert KEY not in caplog.text


async def test_without_a_key_none_of_the_environment_is_sent(stub, make_judge, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    await make_judge(stub.address).judge(SAME)

    assert stub.calls[0]["authorization"] is None


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_not_set(monkeypatch, value):
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)

    with pytest.raises(ConfigError, check=only(("judge.client.api_key_env", "variable-not-set"))):
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="SOME_KEY")


@pytest.mark.parametrize("character", ["\n", "\r", "\x7f"])
def test_a_key_that_no_header_may_hold_is_refused_and_not_repeated(monkeypatch, character):
    monkeypatch.setenv("SOME_KEY", f"{KEY}{character}")

    with pytest.raises(ConfigError, check=only(("judge.client.api_key_env", "key-not-printable"))) as caught:
        ChatJudge(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="SOME_KEY")
    assert KEY not in str(caught.value)


async def test_a_proxy_of_the_environment_is_not_used(stub, make_judge, monkeypatch):
    with JudgeStub() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)

        assert (await make_judge(stub.address).judge(SAME)).matches

    assert (len(stub.calls), len(proxy.calls)) == (1, 0)
