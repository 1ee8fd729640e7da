"""What a judge writes: a text in place of a verdict, cached and deduplicated as verdicts are."""

import asyncio

import pytest

from medix_r1.errors import JudgeRejected
from medix_r1.models.ensemble.voting import VotingJudge
from medix_r1.models.judge import Question
from medix_r1.models.verdict import OpenQuestion, Writer
from tests.support.problems import coded

ASKED = OpenQuestion(
    "Write a number.", 16, str.isdigit, "a number", sent=("these are secret words which nobody may repeat",)
)


async def test_a_text_is_written_once_and_never_constrained(stub, make_judge):
    stub.answer, stub.delay = (lambda prompt: "<think>hm</think>7"), 0.02
    judge = make_judge(stub.address)

    texts = await asyncio.gather(*(judge.write(ASKED) for _ in range(5)))

    assert [text.strip() for text in [*texts, await judge.write(ASKED)]] == ["7"] * 6
    (call,) = stub.calls
    assert (call["max_tokens"], call["messages"][0]["content"]) == (16, "Write a number.")
    assert "structured_outputs" not in call


async def test_what_cannot_be_read_is_asked_again_and_then_rejected_without_what_was_sent(stub, make_judge):
    stub.answer = lambda prompt: "these are secret words which nobody may repeat"
    judge = make_judge(stub.address, parse_attempts=2)

    with pytest.raises(JudgeRejected, check=coded("no-verdict")) as caught:
        await judge.write(ASKED)

    assert "secret" not in str(caught.value)
    assert (len(stub.calls), judge.statistics()["rejected"]) == (2, 1)


async def test_a_server_that_refuses_vllms_fields_is_asked_without(stub, make_judge):
    stub.answer = lambda prompt: "7"
    stub.behave = lambda call: (400, {}, b'{"error": {"message": "no such field"}}') if call == 1 else None

    assert await make_judge(stub.address).write(ASKED) == "7"
    assert [("chat_template_kwargs" in call) for call in stub.calls] == [True, False]


async def test_a_ready_text_is_sent_as_it_is_and_told_apart_by_it(stub, make_judge):
    stub.answer = lambda prompt: "YES" if "heart" in prompt else "NO"
    judge = make_judge(stub.address)

    first = await judge.judge(Question("q", "r", "p", text="Is it <the heart>?"))
    second = await judge.judge(Question("q", "r", "p", text="Is it the lung?"))

    assert (first.matches, second.matches) == (True, False)
    assert [call["messages"][0]["content"] for call in stub.calls] == ["Is it <the heart>?", "Is it the lung?"]


async def test_one_judge_writes_and_a_vote_does_not(stub, make_judge):
    judge = make_judge(stub.address)

    assert not isinstance(VotingJudge(judges=[judge]), Writer)
    assert isinstance(judge, Writer)
