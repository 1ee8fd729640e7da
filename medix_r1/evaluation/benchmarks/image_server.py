"""Images from a server that needs credentials (MIMIC-CXR at PhysioNet).

User and password come from environment variables and are sent to one host only, over https, in a header. They appear in
no command line, log or error message.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from tenacity import RetryError, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.host.files import atomic_file
from medix_r1.models.reading.faults import CallFailed, fault_of_exception, fault_of_status, why
from medix_r1.models.reading.sent_texts import SentTexts

USER, PASSWORD = "PHYSIONET_USERNAME", "PHYSIONET_PASSWORD"
_ATTEMPTS = 4
_MAX_BYTES = 64 * 2**20


def _is_transient(error: BaseException) -> bool:
    """Whether a retry may overcome a failure."""
    if not isinstance(error, CallFailed):
        return False
    return error.status is None or error.status in (408, 429) or error.status >= 500


class ImageServer:
    """Fetches images with retries and caches them on disk.

    Args:
        host: scheme and name of the only server that addresses may name.
        cache_dir: of the images; only this user can read it, because of the data-use agreement.

    Raises:
        ConfigError: the credentials are not in the environment.
    """

    def __init__(self, host: str, cache_dir: Path) -> None:
        if wrong := self.problems(host):
            raise ConfigError(wrong)
        self._host = urlsplit(host)
        self._cache = cache_dir
        self._client = httpx.Client(auth=(os.environ[USER], os.environ[PASSWORD]), timeout=60.0)
        weakref.finalize(self, self._client.close)  # the samples of a task read until nobody holds them any more

    @staticmethod
    def problems(where: str) -> list[Problem]:
        """One problem for each credential that is missing."""
        return [
            Problem(where, "variable-not-set", f"the environment variable {v} is not set")
            for v in (USER, PASSWORD)
            if not os.environ.get(v)
        ]

    def read(self, address: str) -> bytes:
        """Bytes of one image, from the cache or the server.

        Raises:
            DataError: the address names another server, or the server refuses or stays down.
        """
        address = str(address)
        parts = urlsplit(address)
        if (parts.scheme, parts.netloc) != (self._host.scheme, self._host.netloc):
            raise DataError(
                f"an image's address is not at {self._host.geturl()}; credentials go nowhere else", code="another-host"
            )
        kept = self._cache / hashlib.sha256(address.encode()).hexdigest()
        if kept.is_file():
            return kept.read_bytes()
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=20),
        )
        try:
            data = retrying(self._fetch, address)
        except (RetryError, CallFailed) as error:
            raise DataError(
                f"an image cannot be fetched from {self._host.netloc}: {why(error, SentTexts.of(address)).text}",
                code="not-fetched",
            ) from None
        self._keep(kept, data)
        return data

    def _fetch(self, address: str) -> bytes:
        try:
            with self._client.stream("GET", address, follow_redirects=False) as reply:
                if reply.status_code != 200:
                    body = next(reply.iter_bytes(1 << 16), b"")
                    sent = SentTexts(lambda: [address], [os.environ[USER], os.environ[PASSWORD]])
                    raise CallFailed(fault_of_status(reply.status_code, body, sent), reply.status_code)
                data = bytearray()
                for chunk in reply.iter_bytes():
                    data += chunk
                    if len(data) > _MAX_BYTES:
                        raise DataError(f"an image is larger than {_MAX_BYTES} bytes", code="too-large")
                return bytes(data)
        except httpx.TransportError as error:
            raise CallFailed(fault_of_exception(error, SentTexts.of(address))) from None

    def _keep(self, path: Path, data: bytes) -> None:
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_file(path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_bytes(data)
