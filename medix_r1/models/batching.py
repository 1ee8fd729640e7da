"""Vectors of texts, in batches: what arrives while batches are on their way forms the next one.

2,560 rollouts then need a few dozen calls, an equal text in flight is embedded once, and vectors of references are kept
apart from those of predictions, which would otherwise push them out.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from medix_r1.errors import EmbedderError, EmbedderRejected

Vector = NDArray[np.float32]
Encode = Callable[[list[str]], Awaitable[Sequence[Vector] | Vector]]
_PREDICTIONS = 16_384  # vectors of predictions that are kept; most of them never come again

_WINDOW = 8  # batches' worth of waiting texts that are looked at for the next batch


class Batches:
    """Collects texts into batches and keeps their vectors.

    Args:
        encode: turns texts into unit vectors, in their order; may raise `EmbedderError`.
        batch_size: texts at most in one call.
        parallel: batches on their way at once.
        cache_size: vectors of references that are kept.
    """

    def __init__(self, encode: Encode, *, batch_size: int, parallel: int, cache_size: int) -> None:
        self._encode, self._batch_size, self._parallel = encode, batch_size, parallel
        self._references: LRUCache[str, Vector] = LRUCache(cache_size)
        self._predictions: LRUCache[str, Vector] = LRUCache(_PREDICTIONS)
        self._asked: dict[str, list[asyncio.Future[Vector]]] = {}  # who waits for a text, waiting or on its way
        self._kept_in: dict[str, list[LRUCache[str, Vector]]] = {}  # where their vectors go
        self._waiting: dict[str, None] = {}  # in the order of their arrival
        self._working = 0
        self._workers: set[asyncio.Task[None]] = set()  # the event loop itself holds its tasks weakly
        self.batches = self.texts = self.cache_hits = self.failures = 0

    async def similarity(self, prediction: str, reference: str) -> float:
        """Cosine of two texts, in [-1, 1]."""
        left, right = self._wanted(prediction, self._predictions), self._wanted(reference, self._references)
        left = left if isinstance(left, np.ndarray) else await left
        right = right if isinstance(right, np.ndarray) else await right
        cosine = float(left.dot(right))
        if not math.isfinite(cosine):
            raise EmbedderError("the embedder gave a vector that holds no finite numbers", code="not-finite")
        return min(1.0, max(-1.0, cosine))

    def _wanted(self, text: str, kept: LRUCache[str, Vector]) -> Vector | asyncio.Future[Vector]:
        """The vector of a text, or what will hold it: one for each caller, as one that is cancelled cancels it."""
        if (known := kept.get(text)) is not None:
            self.cache_hits += 1
            return known
        future: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()
        if (asked := self._asked.get(text)) is not None:
            asked.append(future)
        else:
            self._asked[text] = [future]
            self._waiting[text], self._kept_in[text] = None, []
            if self._working < self._parallel:
                self._working += 1
                worker = asyncio.create_task(self._work())
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
        self._kept_in[text].append(kept)
        return future

    async def _work(self) -> None:
        try:
            await asyncio.sleep(0)  # let everything that is ready join the first batch
            while self._waiting:
                texts = self._next_batch()
                for text in texts:
                    del self._waiting[text]
                await self._run(texts)
        finally:
            # In the same breath as the last look, not when the loop notices that this task has ended: a text that comes
            # in between would count on a worker that works no more, and wait for ever.
            self._working -= 1

    def _next_batch(self) -> list[str]:
        """The text that waits longest, and of the next ones those closest to it in length: less padding to compute."""
        near = list(itertools.islice(self._waiting, _WINDOW * self._batch_size))
        if len(near) > self._batch_size:
            length = len(near[0])
            near.sort(key=lambda text: abs(len(text) - length))  # stable: of equal ones those that wait longer
        return near[: self._batch_size]

    async def _run(self, texts: list[str]) -> None:
        """Encode one batch and tell those who wait; a batch that is refused is halved to find the text at fault."""
        self.batches += 1
        try:
            vectors = await self._encode(texts)
            if len(vectors) != len(texts):
                raise EmbedderError(
                    f"the embedder gave {len(vectors)} vectors for {len(texts)} texts", code="wrong-count"
                )
            self._deliver(texts, vectors)
        except EmbedderRejected as error:
            if len(texts) == 1:
                self._fail(texts, error)
            else:
                await self._run(texts[: len(texts) // 2])
                await self._run(texts[len(texts) // 2 :])
        except Exception as error:  # noqa: BLE001  whatever it is: whoever waits must hear of it, or waits for ever
            self._fail(
                texts, error if isinstance(error, EmbedderError) else EmbedderError(str(error), code="embedder-failed")
            )

    def _deliver(self, texts: list[str], vectors: Sequence[Vector] | Vector) -> None:
        for text, vector in zip(texts, vectors, strict=True):
            own = np.array(vector, dtype=np.float32)  # a copy: a row would keep its batch alive
            for kept in self._kept_in.pop(text):
                kept[text] = own
            self.texts += 1
            for future in self._asked.pop(text):
                if not future.done():
                    future.set_result(own)

    def _fail(self, texts: list[str], error: EmbedderError) -> None:
        for text in texts:
            if text not in self._asked:
                continue  # delivered before its batch failed
            self.failures += 1
            self._kept_in.pop(text, None)
            for future in self._asked.pop(text):
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # read: nobody may be left to read it

    def statistics(self) -> dict[str, float]:
        """Counts so far, by name."""
        return {
            "batches": float(self.batches),
            "texts": float(self.texts),
            "cache_hits": float(self.cache_hits),
            "failures": float(self.failures),
        }
