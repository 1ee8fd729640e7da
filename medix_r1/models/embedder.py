"""Sentence embeddings for the embedding reward, batched across the rollouts that finish at the same time."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from medix_r1.errors import ConfigError, EmbedderError

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]
_PACKAGE_PREFIX = "pkg://"


class Embedder(Protocol):
    """Anything that turns texts into unit vectors."""

    async def similarity(self, first: str, second: str) -> float:
        """Cosine of two texts, in [-1, 1]."""
        ...


@dataclass
class _Waiting:
    text: str
    future: asyncio.Future[Vector]


class SentenceTransformerEmbedder:
    """A sentence-transformers model on this machine.

    Calls that arrive while a batch is being encoded form the next batch, so 2,560 rollouts need a few dozen forward
    passes and a reference is embedded once for its whole group.

    Args:
        model: hub name, folder, or `pkg://package/folder` for a model inside an installed package.
        revision: hub commit; None takes the default one (the resolved one stands in the run's log).
        device: torch device, such as `cpu` or `cuda:0`.
        batch_size: texts in one forward pass.
        cache_size: vectors kept in memory.
    """

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        device: str = "cpu",
        batch_size: int = 128,
        cache_size: int = 200_000,
    ) -> None:
        self.model, self.revision, self.device, self.batch_size = model, revision, device, batch_size
        self.texts_encoded = 0
        self._cache: LRUCache[str, Vector] = LRUCache(cache_size)
        self._waiting: dict[str, _Waiting] = {}
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._encoder: Any = None

    async def similarity(self, first: str, second: str) -> float:
        """Cosine of two texts, in [-1, 1].

        Raises:
            EmbedderError: the model could not be loaded or failed.
        """
        left, right = await asyncio.gather(self._embed(first), self._embed(second))
        return float(left @ right)

    async def _embed(self, text: str) -> Vector:
        if (known := self._cache.get(text)) is not None:
            return known
        if (waiting := self._waiting.get(text)) is None:
            waiting = self._waiting[text] = _Waiting(text, asyncio.get_running_loop().create_future())
            if self._worker is None or self._worker.done():
                self._worker = asyncio.create_task(self._encode_until_empty())
        return await asyncio.shield(waiting.future)

    async def _encode_until_empty(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # let everything that is ready join the first batch
        while self._waiting:
            batch = list(self._waiting.values())[: self.batch_size]
            try:
                vectors = await loop.run_in_executor(self._thread, self._encode, [w.text for w in batch])
            except Exception as error:  # noqa: BLE001  whatever it is: whoever waits must hear of it, or waits for ever
                for waiting in batch:
                    del self._waiting[waiting.text]
                    waiting.future.set_exception(EmbedderError(f"embedder {self.model}: {error}"))
                continue
            for waiting, vector in zip(batch, vectors, strict=True):
                self._cache[waiting.text] = vector
                del self._waiting[waiting.text]
                if not waiting.future.done():
                    waiting.future.set_result(vector)

    def _encode(self, texts: list[str]) -> Vector:
        if self._encoder is None:
            self._encoder = load_sentence_transformer(self.model, self.revision, self.device)
        self.texts_encoded += len(texts)
        vectors: Vector = self._encoder.encode(
            texts, batch_size=self.batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors


def load_sentence_transformer(model: str, revision: str | None, device: str) -> Any:
    """Load a model with remote code off."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(locate_model(model), revision=revision, device=device, trust_remote_code=False)


def locate_model(model: str) -> str:
    """Turn `pkg://package/folder` into a path; leave hub names and folders as they are.

    Raises:
        ConfigError: the package is not installed or has no such folder.
    """
    if not model.startswith(_PACKAGE_PREFIX):
        return model
    package, _, inside = model.removeprefix(_PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError([f"embedder.model: package '{package}' of {model} is not installed"])
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.is_dir():
        raise ConfigError([f"embedder.model: {model} is not there; the package has no folder '{inside}'"])
    return str(path)
