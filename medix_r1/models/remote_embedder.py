"""Sentence embeddings from a server: OpenAI-compatible `/v1/embeddings`, as `vllm serve` has."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medix_r1.errors import ConfigError, EmbedderError, EmbedderRejected
from medix_r1.models.batching import Batches, Vector
from medix_r1.models.connection import Call, Connection
from medix_r1.models.settings import connection_problems, count_problems, key_problems

logger = logging.getLogger(__name__)


class RemoteEmbedder:
    """Asks a server for vectors, in batches.

    Args:
        base_url: address of the server, ending in `/v1`.
        base_urls: further servers of the same model; each call goes to the one with the fewest in flight.
        model: name of the model as the servers know it.
        api_key_env: name of the environment variable that holds the key, or None for a server without one.
        batch_size: texts in one call.
        concurrency: calls in flight at once, over all servers.
        requests_per_minute, tokens_per_minute: limits over all servers; None for none.
        timeout: seconds for one call.
        patience: seconds of nothing but failures until the embedder counts as lost.
        unknown_model_patience: the same of nothing but answers that the model is unknown.
        cache_size: vectors of references kept in memory, of 4 bytes a dimension.
        extra_body: more fields of each request, for example vLLM's that cuts texts which are too long for the model. A
            server that refuses them is asked without from then on, and the log says so.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        base_urls: Sequence[str] = (),
        api_key_env: str | None = None,
        batch_size: int = 64,
        concurrency: int = 8,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 60.0,
        patience: float = 600.0,
        unknown_model_patience: float = 30.0,
        cache_size: int = 200_000,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        urls = [base_url, *base_urls]
        limits: dict[str, Any] = {
            "concurrency": concurrency,
            "timeout": timeout,
            "patience": patience,
            "unknown_model_patience": unknown_model_patience,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
        }
        problems = [
            *connection_problems("embedder", urls, limits),
            *count_problems("embedder", batch_size=batch_size, cache_size=cache_size),
            *key_problems("embedder.api_key_env", api_key_env),
        ]
        if problems:
            raise ConfigError(problems)
        self.model, self._extra_body = model, dict(extra_body or {})
        self._settled = not self._extra_body  # whether it is known what the server takes
        self._served: str | None = None
        self._batches = Batches(self._encode, batch_size=batch_size, parallel=concurrency, cache_size=cache_size)
        self._connection = Connection(
            name="embedder",
            urls=urls,
            api_key=os.environ[api_key_env] if api_key_env else None,
            unavailable=EmbedderError,
            rejected=EmbedderRejected,
            **limits,
        )

    async def similarity(self, prediction: str, reference: str) -> float:
        """Cosine of two texts, in [-1, 1].

        Raises:
            EmbedderRejected: the server refuses a text.
            EmbedderError: the servers gave nothing but failures for `patience` seconds.
        """
        return await self._batches.similarity(prediction, reference)

    async def _encode(self, texts: list[str]) -> Vector:
        extra = self._extra_body
        try:
            vectors = await self._ask(texts, extra)
        except EmbedderRejected as error:
            if error.status not in (400, 422) or (self._settled and extra == self._extra_body):
                raise
            try:
                vectors = await self._ask(texts, {})
            except EmbedderRejected:
                raise error from None  # a text is at fault, whatever the fields
            extra = {}
        self._settle(extra)
        return vectors

    def _settle(self, taken: dict[str, Any]) -> None:
        """Remember what the server takes, once; said aloud when it is less than was asked for."""
        if self._settled:
            return
        if taken != self._extra_body:
            logger.warning(
                "the embedder refuses %s; it is asked without from now on, and may refuse texts that are too long",
                " and ".join(sorted(self._extra_body)),
            )
        self._extra_body, self._settled = taken, True

    async def _ask(self, texts: list[str], extra: Mapping[str, Any]) -> Vector:
        body = {"model": self.model, "input": texts, "encoding_format": "float", **extra}

        def read(reply: Mapping[str, Any]) -> Vector:
            self._served = str(reply.get("model") or self.model)
            return unit_vectors(reply, len(texts))

        call = Call("embeddings", self.model, lambda: body, read, characters=sum(map(len, texts)))
        return await self._connection.post(call)

    def statistics(self) -> dict[str, float]:
        """Counts, tokens and latencies (seconds) so far, by name."""
        return self._connection.usage.statistics() | self._batches.statistics()

    def versions(self) -> dict[str, str]:
        """The model's name as the server gives it; a server does not tell its revision."""
        return {"embedder": self.model, "embedder_revision": f"served as {self._served or self.model}"}

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._connection.aclose()


def unit_vectors(reply: Mapping[str, Any], count: int) -> Vector:
    """The vectors of an embeddings reply, in the order of the texts, each of length 1.

    Raises:
        ValueError, KeyError, TypeError: it is no such reply, or a vector is zero or not finite.
    """
    rows = sorted(reply["data"], key=lambda row: int(row["index"]))
    vectors: Vector = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(norms).all() or not (norms > 0.0).all():
        raise ValueError(f"{len(rows)} vectors for {count} texts, or one of them is no direction")
    unit: Vector = vectors / norms
    return unit
