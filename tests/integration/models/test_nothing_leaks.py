"""A judge and an embedder whose servers repeat the request in their errors: no error, log line or reason holds it."""

import pytest

from medix_r1.errors import EmbedderError, JudgeError
from medix_r1.models.judge import Question
from medix_r1.models.remote_embedder import RemoteEmbedder
from tests.support.echo import ECHOES
from tests.support.judge_stub import MODEL

KEY = "KEYzebu31quokka"
QUESTION = Question(
    "QUESTIONzebu32quokka?",
    "REFERENCEzebu33quokka, naïve",
    'PREDICTIONzebu34quokka "quoted" <b>',
    choices=("OPTIONzebu35quokka", "none"),
    images=(b"\x89PNG IMAGEzebu36quokka",),
)


def _echoing(stub, status, echo):
    def behave(call):
        return status, {}, ECHOES[echo](stub.calls[call - 1])

    return behave


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 200])
@pytest.mark.parametrize("echo", ECHOES)
async def test_nothing_of_a_judges_request_is_shown(stub, make_judge, monkeypatch, caplog, status, echo):
    monkeypatch.setenv("LEAK_KEY", KEY)
    stub.behave = _echoing(stub, status, echo)
    judge = make_judge(stub.address, api_key_env="LEAK_KEY", patience=0.02, unknown_model_patience=0.02)

    with pytest.raises(JudgeError) as caught:
        await judge.judge(QUESTION)
    assert "zebu" not in (str(caught.value) + caplog.text).lower()


@pytest.mark.parametrize("reply", ["Hm: {}", "<think>{}", "", "YES/NO {}"])
async def test_a_reply_that_is_quoted_repeats_no_passage(stub, make_judge, reply):
    said = reply.format(QUESTION.reference + " " + QUESTION.question)
    stub.answer, stub.finish_reason = lambda prompt: said, "length"
    with pytest.raises(JudgeError) as caught:
        await make_judge(stub.address, parse_attempts=1).judge(QUESTION)
    assert "zebu" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 200])
@pytest.mark.parametrize("echo", ECHOES)
async def test_nothing_of_an_embedders_request_is_shown(stub, monkeypatch, caplog, status, echo):
    monkeypatch.setenv("LEAK_KEY", KEY)
    stub.behave = _echoing(stub, status, echo)
    embedder = RemoteEmbedder(
        base_url=stub.address,
        model=MODEL,
        api_key_env="LEAK_KEY",
        patience=0.02,
        extra_body={"user": "EXTRAzebu37quokka"},
    )
    with pytest.raises(EmbedderError) as caught:
        await embedder.similarity(QUESTION.prediction, QUESTION.reference)
    await embedder.aclose()
    assert "zebu" not in (str(caught.value) + caplog.text).lower()
