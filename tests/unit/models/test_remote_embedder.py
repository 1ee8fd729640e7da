import asyncio
import json
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, EmbedderError, EmbedderRejected
from medix_r1.host.yaml_text import read_yaml
from medix_r1.models.batching import Batches
from medix_r1.models.remote_embedder import RemoteEmbedder
from tests.support.judge_stub import TROUBLE, bag_of_words
from tests.support.problems import coded, only

REMOTE = read_yaml(Path(__file__).parents[3] / "configs/embedder/remote.yaml")


@pytest.fixture
async def make_embedder():
    made = []

    def make(address: str, **settings) -> RemoteEmbedder:
        made.append(RemoteEmbedder(**{"base_url": address, "model": "m", "timeout": 5, **settings}))
        return made[-1]

    yield make
    for embedder in made:
        await embedder.aclose()


async def test_the_cosine_of_two_texts(stub, make_embedder):
    embedder = make_embedder(stub.address)

    assert await embedder.similarity("left lung", "left lung") == pytest.approx(1.0)
    assert await embedder.similarity("left lung", "left kidney") == pytest.approx(0.5)
    assert await embedder.similarity("left lung", "fracture") == pytest.approx(0.0)
    assert stub.calls[0]["path"] == "/v1/embeddings"
    assert stub.calls[0]["encoding_format"] == "float"
    assert embedder.versions() == {"embedder": "m", "embedder_revision": "served as m"}


async def test_more_fields_of_a_request(stub, make_embedder):
    """vLLM refuses long texts unless it is told to truncate them; a policy could use refusals to get samples masked."""
    embedder = make_embedder(stub.address, extra_body=REMOTE["extra_body"])

    await embedder.similarity("left lung", "left lung")

    assert stub.calls[0]["truncate_prompt_tokens"] == -1
    assert stub.calls[0]["input"] == ["left lung"]


def strict(stub, *, refuse=lambda call: False, status=422):
    """Let the stub refuse unknown fields, as Text Embeddings Inference and others may."""

    def behave(number: int):
        call = stub.calls[number - 1]
        unknown = "truncate_prompt_tokens" in call
        return (status, {}, b'{"message": "unknown field"}') if unknown or refuse(call) else None

    stub.behave = behave


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_the_fields_is_asked_without(stub, make_embedder, caplog, status):
    """Otherwise the server would refuse every text of the run, and every sample would be masked."""
    strict(stub, status=status)
    embedder = make_embedder(stub.address, extra_body=REMOTE["extra_body"])

    pairs = [embedder.similarity(f"answer {i}", f"reference {i}") for i in range(64)]
    assert await asyncio.gather(*pairs) == pytest.approx([0.5] * 64, abs=0.5)

    assert len(stub.calls) == 4  # two batches, on their way together, each asked twice
    await embedder.similarity("left lung", "left kidney")
    assert len(stub.calls) == 5
    (said,) = caplog.messages
    assert "refuses truncate_prompt_tokens" in said
    assert "too long" in said


@pytest.mark.parametrize(("status", "calls"), [(400, 2), (413, 1)])
async def test_a_text_that_is_refused_either_way_settles_nothing(stub, make_embedder, caplog, status, calls):
    stub.behave = lambda call: (status, {}, b'{"message": "call %d is too long"}' % call)
    embedder = make_embedder(stub.address, extra_body=REMOTE["extra_body"])

    with pytest.raises(EmbedderRejected, check=coded("refused-by-server", "call 1")):
        await embedder.similarity("bad", "bad")
    assert len(stub.calls) == calls
    stub.behave = lambda call: None
    await embedder.similarity("left lung", "left lung")

    assert stub.calls[-1]["truncate_prompt_tokens"] == -1
    assert not caplog.messages


async def test_a_server_that_takes_the_fields_is_never_asked_without(stub, make_embedder):
    """Once the fields are accepted, later refusals are due to a text."""
    embedder = make_embedder(stub.address, extra_body=REMOTE["extra_body"])
    await embedder.similarity("left lung", "left lung")
    strict(stub)

    with pytest.raises(EmbedderRejected):
        await embedder.similarity("bad", "bad")
    assert len(stub.calls) == 2


async def test_one_bad_text_at_a_server_that_refuses_the_fields(stub, make_embedder):
    strict(stub, refuse=lambda call: "bad" in call["input"])
    embedder = make_embedder(stub.address, extra_body=REMOTE["extra_body"])
    predictions = ["bad", *(f"answer {i}" for i in range(7))]

    outcomes = await asyncio.gather(*(embedder.similarity(p, "answer 3") for p in predictions), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [EmbedderRejected] + [float] * 7


async def test_texts_go_in_batches_and_references_once(stub, make_embedder):
    stub.delay = 0.02
    embedder = make_embedder(stub.address, batch_size=8, concurrency=2)

    await asyncio.gather(*(embedder.similarity(f"answer {i}", "the reference") for i in range(31)))

    sent = [call["input"] for call in stub.calls]
    assert max(map(len, sent)) == 8
    assert sorted(text for texts in sent for text in texts) == sorted(
        ["the reference", *(f"answer {i}" for i in range(31))]
    )
    assert len(sent) == 4
    assert stub.most_in_flight == 2
    assert embedder.statistics()["texts"] == 32


async def test_replies_in_another_order_are_put_right(stub, make_embedder):
    """The stub sends its rows in reverse order; `index` gives the order of the texts."""
    embedder = make_embedder(stub.address)
    one, two = await asyncio.gather(
        embedder.similarity("left lung", "left lung x"), embedder.similarity("heart", "kidney")
    )

    assert one == pytest.approx(2 / 6**0.5)
    assert two == pytest.approx(0.0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [0, 0]}, {"index": 1, "embedding": [1, 0]}]}',
        b'{"data": [{"index": 0, "embedding": [NaN, 0]}, {"index": 1, "embedding": [1, 0]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 0, 0]}, {"index": 1, "embedding": [1, 0]}]}',
        b'{"data": [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]}',
        b'{"data": [{"embedding": [1, 0]}, {"embedding": [1, 0]}]}',
        b"[]",
    ],
)
async def test_what_is_no_embedding_is_trouble_of_the_server(stub, make_embedder, body):
    stub.behave = lambda call: (200, {}, body)

    with pytest.raises(EmbedderError, check=coded("server-lost")) as caught:
        await make_embedder(stub.address, patience=0.02).similarity("a", "b")
    assert not isinstance(caught.value, EmbedderRejected)


@pytest.mark.parametrize("name", TROUBLE)
async def test_lasting_trouble_is_an_outage(stub, make_embedder, name):
    stub.behave = lambda call: TROUBLE[name]

    with pytest.raises(EmbedderError, match=f"embedder at {stub.address}") as caught:
        await make_embedder(stub.address, patience=0.05).similarity("a", "b")
    assert not isinstance(caught.value, EmbedderRejected)


async def test_passing_trouble_is_waited_out(stub, make_embedder):
    stub.behave = lambda call: TROUBLE["503"] if call <= 2 else None

    assert await make_embedder(stub.address).similarity("left lung", "left lung") == pytest.approx(1.0)


async def test_one_text_that_is_refused_does_not_take_its_batch_along(stub, make_embedder):
    def behave(call: int):
        return (400, {}, b'{"message": "too long"}') if "bad" in stub.calls[call - 1]["input"] else None

    stub.behave = behave
    embedder = make_embedder(stub.address)
    predictions = [*(f"answer {i}" for i in range(9)), "bad"]

    outcomes = await asyncio.gather(*(embedder.similarity(p, "answer 3") for p in predictions), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [float] * 9 + [EmbedderRejected]
    assert outcomes[3] == pytest.approx(1.0)
    assert "too long" in str(outcomes[-1])


async def test_the_key_is_sent_and_cut_out(stub, make_embedder, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    stub.behave = lambda call: (401, {}, json.dumps({"error": {"message": "no sk-secret"}}).encode())

    with pytest.raises(EmbedderError, match=r"no \*\*\*"):
        await make_embedder(stub.address, api_key_env="SOME_KEY").similarity("a", "b")
    assert stub.calls[0]["authorization"] == "Bearer sk-secret"
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(ConfigError, check=only(("embedder.api_key_env", "variable-not-set"))):
        make_embedder(stub.address, api_key_env="SOME_KEY")


async def test_references_are_kept_when_predictions_come_and_go(monkeypatch):
    monkeypatch.setattr("medix_r1.models.batching._PREDICTIONS", 8)
    asked: list[str] = []

    async def encode(texts):
        asked.extend(texts)
        return [bag_of_words(text) for text in texts]

    batches = Batches(encode, batch_size=4, parallel=1, cache_size=10)
    for i in range(50):
        await batches.similarity(f"answer {i}", "the reference")

    assert asked.count("the reference") == 1
    assert len(batches._predictions) == 8


async def test_numbers_that_are_none_are_no_cosine():
    async def encode(texts):
        return [[float("nan")] for _ in texts]

    with pytest.raises(EmbedderError, check=coded("not-finite")):
        await Batches(encode, batch_size=4, parallel=1, cache_size=10).similarity("a", "b")
