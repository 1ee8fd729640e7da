"""Classifies HTTP errors as retryable or not."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping

_NOT_FOUND = 404
_BUSY = (429, 503)
_TRANSIENT = (408, 409, 425)


class RetryableError(Exception):
    """A failed call that may succeed when it is retried.

    Attributes:
        retry_after: seconds to wait, from the server's `Retry-After`, or None.
        busy: the server is overloaded or limits the rate, so the sample is not at fault.
        unknown_model: the server answers that it does not know the model.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, busy: bool = False, unknown_model: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after, self.busy, self.unknown_model = retry_after, busy, unknown_model


def retryable_error(status: int, headers: Mapping[str, str], message: str, model: str | None) -> RetryableError | None:
    """The error for a status other than 200, or None when a retry will not help.

    A 404 that names the model means a wrong name, or a server that is still loading the model. Any other 404 comes from
    a server or proxy that is restarting.
    """
    if status == _NOT_FOUND:
        return RetryableError(message, unknown_model=bool(model) and str(model) in message)
    if status in _TRANSIENT or status >= 500 or status == 429 or status < 400:
        return RetryableError(message, retry_after=_retry_after_of(headers), busy=status in _BUSY)
    return None


def _retry_after_of(headers: Mapping[str, str]) -> float | None:
    try:
        return retry_after(headers.get("Retry-After"))
    except ValueError:
        return None  # pyreqwest raises it for a header that is no text


def retry_after(value: str | None) -> float | None:
    """Seconds from a `Retry-After` header, a number or a date (RFC 9110, section 10.2.3); None if it is neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
