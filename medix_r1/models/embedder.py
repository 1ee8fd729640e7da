"""Sentence embeddings for the embedding reward, by a sentence-transformers model in this process."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import logging
import re
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from medix_r1.errors import ConfigError, EmbedderError, Problem
from medix_r1.host import gc_tuning
from medix_r1.models.batching import Batches, Vector
from medix_r1.models.reading.faults import why
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.settings import count_problems

logger = logging.getLogger(__name__)

_PACKAGE_PREFIX = "pkg://"
_DEVICE = re.compile(r"cpu|(cuda|mps|xpu)(:\d+)?")  # of torch


class Embedder(Protocol):
    """The interface of an embedder."""

    async def similarity(self, prediction: str, reference: str) -> float:
        """Cosine of two texts, in [-1, 1]; the vector of `reference` is cached.

        Raises:
            EmbedderRejected: the embedder refuses one of the texts.
            EmbedderError: the embedder fails for every text.
        """
        ...

    def statistics(self) -> dict[str, float]:
        """Name → count, or seconds for `latency_*`."""
        ...

    def versions(self) -> dict[str, str]:
        """Model and resolved revision, as far as known by now."""
        ...

    async def aclose(self) -> None:
        """Close connections and threads."""
        ...


class SentenceTransformerEmbedder:
    """A sentence-transformers model in this process.

    Args:
        model: hub name, folder, or `pkg://package/folder` for a model inside an installed package.
        revision: hub commit; None takes the default one, which `versions` then names.
        device: torch device, such as `cpu` or `cuda:0`.
        batch_size: texts of one forward pass.
        cache_size: cached vectors of references, of 4 bytes a dimension each.

    Raises:
        ConfigError: `batch_size` or `cache_size` is below 1, or torch has no such device.
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
        problems = count_problems("embedder", batch_size=batch_size, cache_size=cache_size)
        if not _DEVICE.fullmatch(device):
            problems.append(Problem("embedder.device", "not-a-choice", f"{device} is none; use cpu, cuda or cuda:0"))
        if problems:
            raise ConfigError(problems)
        self.model, self.revision, self.device, self.batch_size = model, revision, device, batch_size
        self._batches = Batches(self._in_thread, batch_size=batch_size, parallel=1, cache_size=cache_size)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._loading = threading.Lock()
        self._encoder: Any = None
        self._resolved: str | None = None

    def similarity(self, prediction: str, reference: str) -> Coroutine[Any, Any, float]:
        """Cosine of two texts, in [-1, 1].

        Raises:
            EmbedderError: the model could not be loaded or failed.
        """
        return self._batches.similarity(prediction, reference)

    async def _in_thread(self, texts: list[str]) -> Vector:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._encode, texts)
        except Exception as error:  # torch and the model may raise anything
            reason = why(error, SentTexts.of(*texts)).text
            raise EmbedderError(f"embedder {self.model}: {reason}", code="embedder-failed") from error

    def _encode(self, texts: list[str]) -> Vector:
        self.load()
        vectors: Vector = self._encoder.encode(
            texts, batch_size=self.batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def load(self) -> None:
        """Load the model, unless it is loaded already; the first call does the same."""
        with self._loading:
            if self._encoder is None:
                self._encoder = load_sentence_transformer(self.model, self.revision, self.device)
                self._resolved = resolved_revision(self._encoder, locate_model(self.model))
                gc_tuning.tune_for_scoring()
                logger.info("embedder %s, revision %s", self.model, self._resolved)

    def statistics(self) -> dict[str, float]:
        """The counters of `Batches`, by name."""
        return self._batches.statistics()

    def versions(self) -> dict[str, str]:
        """Model and resolved revision: a hub commit, or the start of the weight file's SHA-256."""
        return {"embedder": self.model, "embedder_revision": self._resolved or self.revision or "not loaded yet"}

    async def aclose(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)


def load_sentence_transformer(model: str, revision: str | None, device: str) -> Any:
    """Load a sentence-transformers model without remote code."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(locate_model(model), revision=revision, device=device, trust_remote_code=False)


def resolved_revision(encoder: Any, location: str) -> str:
    """Which weights were loaded: the hub's commit, or for a folder the start of the weight file's SHA-256."""
    weights = Path(location) / "model.safetensors"
    if weights.is_file():
        with weights.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    commit = getattr(getattr(encoder[0].auto_model, "config", None), "_commit_hash", None)
    return str(commit) if commit else "unknown"


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
        raise ConfigError.of(
            "embedder.model", "package-not-installed", f"package '{package}' of {model} is not installed"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.is_dir():
        raise ConfigError.of(
            "embedder.model", "no-such-file", f"{model} is not there; the package has no folder '{inside}'"
        )
    return str(path)
