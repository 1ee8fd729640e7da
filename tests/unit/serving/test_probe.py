"""One question to judge and embedder: the address, the key and the model are told apart."""

import pytest

from medix_r1.serving import probe
from medix_r1.serving.probe import server_problems
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.support.problems import codes

KEY = "judge.client"
JUDGE = {"_target_": "medix_r1.models.judge.ChatJudge", "model": MODEL}
EMBEDDER = {"_target_": "medix_r1.models.remote_embedder.RemoteEmbedder", "model": MODEL}


@pytest.fixture(autouse=True)
def _no_second_wait(monkeypatch):
    monkeypatch.setattr(probe, "_PATIENCE", 0.1)


@pytest.fixture
def stub():
    with JudgeStub(lambda prompt: "YES") as server:
        yield server


def ask(address: str, **settings):
    return list(server_problems({**JUDGE, "base_url": address, **settings}, KEY, "judge", "; start one"))


def test_a_judge_that_answers(stub):
    assert ask(stub.address) == []
    assert ask(f"{stub.address}/") == []
    assert {call["path"] for call in stub.calls} == {"/v1/chat/completions"}
    assert "left lung" in stub.calls[0]["messages"][0]["content"]


def test_an_embedder_that_answers(stub):
    node = {**EMBEDDER, "base_url": stub.address}
    assert list(server_problems(node, "embedder", "embedder")) == []
    stub.behave = lambda call: (401, {}, b"{}")
    assert codes(server_problems(node, "embedder", "embedder")) == [("embedder.base_url", "wants-a-key")]


def test_nobody():
    assert codes(ask("http://127.0.0.1:9/v1")) == [(f"{KEY}.base_url", "no-answer")]


def test_the_key_is_sent_and_never_shown(stub, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    stub.behave = lambda call: None if stub.calls[-1]["authorization"] == "Bearer sk-secret" else (401, {}, b"no")
    assert ask(stub.address, api_key_env="SOME_KEY") == []
    (problem,) = ask(stub.address)
    assert (problem.key, problem.code) == (f"{KEY}.base_url", "wants-a-key")
    stub.behave = lambda call: (403, {}, b'{"error": {"message": "sk-secret is not known"}}')
    (problem,) = ask(stub.address, api_key_env="SOME_KEY")
    assert "another key" in problem.text
    assert "sk-secret" not in problem.text


def test_a_model_that_is_not_served(stub):
    (problem,) = ask(stub.address, model="another")
    assert (problem.key, problem.code) == (f"{KEY}.model", "serves-another-model")
    assert MODEL in problem.text
    assert stub.calls == [], "nothing is asked of another model"


def test_a_reply_that_is_longer_than_the_served_context(stub):
    stub.context = 2048
    assert ask(stub.address, max_tokens=1024) == []
    asked = len(stub.calls)
    assert codes(ask(stub.address, max_tokens=2048)) == [(f"{KEY}.max_tokens", "context-too-short")]
    assert len(stub.calls) == asked, "vLLM would refuse the question, and its words would name no key"


def test_a_404_that_names_the_model_is_about_the_model(stub):
    body = f'{{"error": {{"message": "The model `{MODEL}` does not exist."}}}}'.encode()
    stub.behave = lambda call: (404, {}, body)
    assert codes(ask(stub.address)) == [(f"{KEY}.model", "serves-another-model")]


def test_a_look_asks_nothing(stub):
    look = lambda address, **own: list(server_problems({**JUDGE, "base_url": address, **own}, KEY, "judge", ask=False))  # noqa: E731
    assert look(stub.address) == []
    assert stub.calls == []
    assert codes(look(stub.address, model="another")) == [(f"{KEY}.model", "serves-another-model")]
    assert codes(look("http://127.0.0.1:9/v1")) == [(f"{KEY}.base_url", "no-answer")]


def test_every_address_is_asked(stub):
    (problem,) = ask(stub.address, base_urls=["http://127.0.0.1:9/v1"])
    assert (problem.key, problem.code) == (f"{KEY}.base_urls[0]", "no-answer")


@pytest.mark.parametrize(
    "trouble", [(500, {}, b"oops"), (503, {}, b"loading"), (200, {}, b"<html>"), (400, {}, b'{"message": "no"}')]
)
def test_a_server_that_fails_for_another_reason(stub, trouble):
    stub.behave = lambda call: trouble
    (problem,) = ask(stub.address)
    assert (problem.key, problem.code) == (f"{KEY}.base_url", "question-not-answered")
    assert stub.address in problem.text


def test_a_judge_that_is_busy_for_a_moment(stub, monkeypatch):
    monkeypatch.setattr(probe, "_PATIENCE", 20.0)
    stub.behave = lambda call: (429, {}, b"slow down") if call < 3 else None
    assert ask(stub.address) == []


def test_a_judge_that_says_neither_yes_nor_no(stub):
    stub.answer = lambda prompt: "Let me think."
    (problem,) = ask(stub.address)
    assert problem.code == "question-not-answered"
    assert "Let me think" in problem.text


def test_a_client_of_the_users_own_is_asked_as_it_is(stub):
    """Settings that it does not know are not added."""
    node = {"_target_": f"{__name__}.Own", "base_url": stub.address, "model": MODEL}
    assert list(server_problems(node, KEY, "judge")) == []


class Own:
    def __init__(self, *, base_url, model):
        self.base_url, self.model = base_url, model

    async def judge(self, question):
        assert question.reference

    async def aclose(self): ...


class _Api(LoopbackHandler):
    """A model server at /api/v1 alone, as real ones answer: 404 everywhere else."""

    def do_GET(self):
        if self.path == "/api/v1/models":
            self.send_json({"data": [{"id": MODEL}]})
        else:
            self.send(404, b'{"detail": "Not Found"}', {"Content-Type": "application/json"})

    def do_POST(self):
        self.body()
        if self.path == "/api/v1/chat/completions":
            self.send_json({"choices": [{"message": {"role": "assistant", "content": "YES"}}], "usage": {}})
        else:
            self.send(404, b'{"detail": "Not Found"}', {"Content-Type": "application/json"})


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1/chat/completions", "/api/v1/v1"])
def test_a_wrong_path_gets_the_right_one(path):
    with LoopbackServer(_Api, 0) as server:
        (problem,) = ask(f"{server.address}{path}")
        assert (problem.key, problem.code) == (f"{KEY}.base_url", "wrong-path")
        assert problem.text.endswith(f"use {server.address}/api/v1")
        assert ask(f"{server.address}/api/v1") == []


def test_a_server_of_something_else():
    with LoopbackServer(_Api, 0) as server:
        (problem,) = ask(f"{server.address}/elsewhere")
        assert (problem.code, "/v1" in problem.text) == ("wrong-path", True)
