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
    """Embeds texts by a server, in batches.

    Args:
        base_url: address of the server, ending in `/v1`.
        base_urls: further servers of the same model; each call goes to the one with the fewest in flight.
        model: name of the model as the servers know it.
        api_key_env: name of the environment variable that holds the key, or None for a server without one.
        batch_size: maximum texts of one call.
        concurrency: maximum calls in flight, over all servers.
        requests_per_minute, tokens_per_minute: rate limits over all servers; None for no limit.
        timeout: seconds for one call.
        patience: seconds in which all calls fail until the embedder is given up.
        unknown_model_patience: seconds in which all calls are answered with an unknown model until the same.
        cache_size: cached vectors of references, of 4 bytes a dimension each.
        extra_body: further fields of each request, such as vLLM's `truncate_prompt_tokens`. If the server refuses them,
            later requests go without them, and the log says so.

    Raises:
        ConfigError: all problems of these settings.
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
        self._fields_known = not self._extra_body  # whether it is known if the server accepts `extra_body`
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
            EmbedderError: all calls failed for `patience` seconds.
        """
        return await self._batches.similarity(prediction, reference)

    async def _encode(self, texts: list[str]) -> Vector:
        extra = self._extra_body
        try:
            vectors = await self._ask(texts, extra)
        except EmbedderRejected as error:
            if error.status not in (400, 422) or (self._fields_known and extra == self._extra_body):
                raise
            try:
                vectors = await self._ask(texts, {})
            except EmbedderRejected:
                raise error from None  # a text is at fault, not the extra fields
            extra = {}
        self._remember_fields(extra)
        return vectors

    def _remember_fields(self, accepted: dict[str, Any]) -> None:
        """Note which extra fields the server accepts, after the first call that succeeds; log it if it refuses them."""
        if self._fields_known:
            return
        if accepted != self._extra_body:
            logger.warning(
                "the embedder refuses %s; it is asked without from now on, and may refuse texts that are too long",
                " and ".join(sorted(self._extra_body)),
            )
        self._extra_body, self._fields_known = accepted, True

    async def _ask(self, texts: list[str], extra: Mapping[str, Any]) -> Vector:
        body = {"model": self.model, "input": texts, "encoding_format": "float", **extra}

        def read(reply: Mapping[str, Any]) -> Vector:
            self._served = str(reply.get("model") or self.model)
            return unit_vectors(reply, len(texts))

        call = Call("embeddings", self.model, lambda: body, read, characters=sum(map(len, texts)))
        return await self._connection.post(call)

    def statistics(self) -> dict[str, float]:
        """Counters and latencies (seconds) so far, by name."""
        return self._connection.usage.statistics() | self._batches.statistics()

    def versions(self) -> dict[str, str]:
        """The model's name here and on the server; servers do not tell the revision."""
        return {"embedder": self.model, "embedder_revision": f"served as {self._served or self.model}"}

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._connection.aclose()


def unit_vectors(reply: Mapping[str, Any], count: int) -> Vector:
    """Parse an embeddings reply into unit vectors, shape (count, dimension), in the order of the texts.

    Raises:
        ValueError, KeyError, TypeError: the reply is malformed, or a vector is zero or not finite.
    """
    rows = sorted(reply["data"], key=lambda row: int(row["index"]))
    vectors: Vector = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(norms).all() or not (norms > 0.0).all():
        raise ValueError(f"{len(rows)} vectors for {count} texts, or one of them is no direction")
    unit: Vector = vectors / norms
    return unit
