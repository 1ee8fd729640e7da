"""Which texts share a batch, and what happens when callers are cancelled or the embedder fails."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from medix_r1.errors import EmbedderError
from medix_r1.models.batching import Batches


class Encoder:
    """Records each batch; every text gets the same vector."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def __call__(self, texts: list[str]) -> list[np.ndarray]:
        self.batches.append(texts)
        await asyncio.sleep(0)
        return [np.array([1.0, 0.0], dtype=np.float32) for _ in texts]


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def batches(encoder) -> Batches:
    return Batches(encoder, batch_size=4, parallel=1, cache_size=10)


async def test_texts_of_one_length_share_a_batch(encoder, batches):
    pairs = [("long" * 9 + str(number), f"s{number}") for number in range(4)]

    await asyncio.gather(*(batches.similarity(*pair) for pair in pairs))

    assert encoder.batches == [[left for left, _ in pairs], [right for _, right in pairs]]


async def test_the_text_that_waits_longest_is_always_in_the_next_batch(encoder, batches):
    texts = ["the odd one out, much longer than all the others", *(f"{number:02}" for number in range(31))]

    await asyncio.gather(*(batches.similarity(text, text) for text in texts))

    assert texts[0] in encoder.batches[0]
    assert sorted(text for batch in encoder.batches for text in batch) == sorted(texts)


async def test_a_text_that_comes_in_the_moment_a_worker_ends_is_embedded_too():
    """A text queued just before the worker ends gets a new worker. In training, the last rollouts of a step hung."""
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def encode(texts: list[str]) -> list[np.ndarray]:
        await gate
        return [np.array([1.0, 0.0], dtype=np.float32) for _ in texts]

    batches = Batches(encode, batch_size=4, parallel=1, cache_size=10)
    first = asyncio.create_task(batches.similarity("a", "b"))
    await asyncio.sleep(0.01)

    gate.set_result(None)  # the worker finds an empty queue and ends; then the second text is queued
    second = asyncio.create_task(batches.similarity("c", "d"))

    assert await asyncio.wait_for(asyncio.gather(*[first, second]), timeout=60.0) == [1.0, 1.0]


async def test_a_caller_that_goes_away_takes_nothing_from_the_others(batches):
    gone, stays = (asyncio.create_task(batches.similarity("left", "right")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()

    assert await stays == 1.0
    assert batches.texts == 2


async def test_a_vector_that_cannot_be_kept_is_heard_of_and_costs_no_other_text():
    """Every error after the call must reach the callers, or the run hangs."""

    async def encode(texts: list[str]) -> list[np.ndarray]:
        return [np.array(["no number"] if text == "bad" else [1.0]) for text in texts]

    batches = Batches(encode, batch_size=4, parallel=1, cache_size=10)
    pairs = [("a", "b"), ("bad", "c")]
    good, bad = await asyncio.wait_for(
        asyncio.gather(*(batches.similarity(*pair) for pair in pairs), return_exceptions=True), timeout=60.0
    )

    assert good == 1.0
    assert isinstance(bad, EmbedderError)
    assert (batches.texts, batches.failures) == (2, 2)
    assert await asyncio.wait_for(batches.similarity("c", "d"), timeout=60.0) == 1.0
