"""Embeds texts in batches: texts that arrive while batches are in flight form the next one.

2,560 rollouts then need a few dozen calls. Equal texts in flight are deduplicated. References have a cache of their
own, so that the many predictions do not evict them.
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
from medix_r1.models.reading.faults import why
from medix_r1.models.reading.sent_texts import SentTexts

Vector = NDArray[np.float32]
Encode = Callable[[list[str]], Awaitable[Sequence[Vector] | Vector]]
_PREDICTIONS = 16_384  # cached vectors of predictions; most predictions never recur
_WINDOW = 8  # the next batch is chosen from this many batches' worth of waiting texts


class Batches:
    """Collects texts into batches and caches their vectors.

    Args:
        encode: turns texts into unit vectors, shape (texts, dimension), in their order; may raise `EmbedderError`.
        batch_size: maximum texts of one call.
        parallel: maximum batches in flight.
        cache_size: cached vectors of references.
    """

    def __init__(self, encode: Encode, *, batch_size: int, parallel: int, cache_size: int) -> None:
        self._encode, self._batch_size, self._parallel = encode, batch_size, parallel
        self._references: LRUCache[str, Vector] = LRUCache(cache_size)
        self._predictions: LRUCache[str, Vector] = LRUCache(_PREDICTIONS)
        self._futures: dict[str, list[asyncio.Future[Vector]]] = {}  # callers of each text, queued or in flight
        self._caches: dict[str, list[LRUCache[str, Vector]]] = {}  # where the vector of each of these texts goes
        self._queue: dict[str, None] = {}  # texts in the order of their arrival
        self._active = 0
        self._workers: set[asyncio.Task[None]] = set()  # the event loop holds only weak references to tasks
        self.batches = self.texts = self.cache_hits = self.failures = 0

    async def similarity(self, prediction: str, reference: str) -> float:
        """Cosine of two texts, in [-1, 1].

        Raises:
            EmbedderRejected: the embedder refuses one of the texts.
            EmbedderError: the embedder fails, or a vector is not finite.
        """
        left, right = self._vector(prediction, self._predictions), self._vector(reference, self._references)
        left = left if isinstance(left, np.ndarray) else await left
        right = right if isinstance(right, np.ndarray) else await right
        cosine = float(left.dot(right))
        if not math.isfinite(cosine):
            raise EmbedderError("the embedder gave a vector that holds no finite numbers", code="not-finite")
        return min(1.0, max(-1.0, cosine))

    def _vector(self, text: str, cache: LRUCache[str, Vector]) -> Vector | asyncio.Future[Vector]:
        """The cached vector of a text, or a future of it: a new one for each caller, who may cancel it."""
        if (known := cache.get(text)) is not None:
            self.cache_hits += 1
            return known
        future: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()
        if (futures := self._futures.get(text)) is not None:
            futures.append(future)
        else:
            self._futures[text] = [future]
            self._queue[text], self._caches[text] = None, []
            if self._active < self._parallel:
                self._active += 1
                worker = asyncio.create_task(self._work())
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
        self._caches[text].append(cache)
        return future

    async def _work(self) -> None:
        try:
            await asyncio.sleep(0)  # let all ready callers join the first batch
            while self._queue:
                texts = self._next_batch()
                for text in texts:
                    del self._queue[text]
                await self._run(texts)
        finally:
            # Decrement before any await, and not in the task's done callback, which runs later: a text queued in
            # between would wait on a finished worker.
            self._active -= 1

    def _next_batch(self) -> list[str]:
        """The oldest text and, of those next in the queue, the ones closest to it in length, which saves padding."""
        near = list(itertools.islice(self._queue, _WINDOW * self._batch_size))
        if len(near) > self._batch_size:
            length = len(near[0])
            near.sort(key=lambda text: abs(len(text) - length))  # stable, so older texts come first
        return near[: self._batch_size]

    async def _run(self, texts: list[str]) -> None:
        """Encode one batch and resolve its futures; a rejected batch is bisected to find the text at fault."""
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
        except Exception as error:  # noqa: BLE001  a future that gets no exception would never resolve
            if not isinstance(error, EmbedderError):
                error = EmbedderError(why(error, SentTexts.of(*texts)).text, code="embedder-failed")
            self._fail(texts, error)

    def _deliver(self, texts: list[str], vectors: Sequence[Vector] | Vector) -> None:
        for text, vector in zip(texts, vectors, strict=True):
            own = np.array(vector, dtype=np.float32)  # a copy: a view would keep its whole batch in memory
            for cache in self._caches.pop(text):
                cache[text] = own
            self.texts += 1
            for future in self._futures.pop(text):
                if not future.done():
                    future.set_result(own)

    def _fail(self, texts: list[str], error: EmbedderError) -> None:
        for text in texts:
            if text not in self._futures:
                continue  # delivered before its batch failed
            self.failures += 1
            self._caches.pop(text, None)
            for future in self._futures.pop(text):
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # mark as retrieved, or asyncio logs an error if no caller is left

    def statistics(self) -> dict[str, float]:
        """Counters so far, by name; `texts` counts embedded texts, cache hits not included."""
        return {
            "batches": float(self.batches),
            "texts": float(self.texts),
            "cache_hits": float(self.cache_hits),
            "failures": float(self.failures),
        }
