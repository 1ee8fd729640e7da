"""The HTTP client of all model servers: pyreqwest, which works in a thread of its own outside Python."""

from __future__ import annotations

from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError

_IDLE = timedelta(seconds=15)  # a connection is kept: shorter than proxies keep one before they drop it in silence


def open_client(api_key: str | None, timeout: float) -> Client:
    """A pool of connections that goes straight to the addresses it is given.

    Args:
        api_key: sent as a bearer token; None sends none.
        timeout: seconds for one call.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    builder = ClientBuilder().timeout(timedelta(seconds=timeout)).pool_idle_timeout(_IDLE)
    builder = builder.default_headers(headers).follow_redirects(False)
    builder = builder.no_proxy()  # prompts go to the addresses and nowhere else
    # no compression: a small reply would be unpacked to any size before it is looked at
    return builder.gzip(False).brotli(False).zstd(False).deflate(False).build()


def innermost_cause(error: PyreqwestError) -> str:
    """What went wrong with a call: the innermost cause is the one that tells."""
    causes = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else error.message
