"""What an HTTP answer other than 200 means for the call, and how it is put into one line."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping

_UNKNOWN = 404
_BUSY = (429, 503)
_PASSING = (408, 409, 425)
_LENGTH = 240
_READ = 1 << 16  # bytes of a body that are looked at for its message


class Trouble(Exception):
    """A failed call that may succeed when it is made again.

    Attributes:
        retry_after: seconds after which the server wants to be asked again, or None.
        busy: the server says that it has no time now; never a sample's fault.
        unknown_model: it answers, but does not know the model.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, busy: bool = False, unknown_model: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after, self.busy, self.unknown_model = retry_after, busy, unknown_model


def trouble_of(status: int, headers: Mapping[str, str], message: str, model: str | None) -> Trouble | None:
    """The trouble behind a status, or None when asking again will not help.

    A 404 that names the model is a wrong name, or a server in the middle of loading it; any other 404 is a server or
    proxy in the middle of a restart.
    """
    if status == _UNKNOWN:
        return Trouble(message, unknown_model=bool(model) and str(model) in message)
    if status in _PASSING or status >= 500 or status == 429 or status < 400:
        return Trouble(message, retry_after=_asked_wait(headers), busy=status in _BUSY)
    return None


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    try:
        return retry_after(headers.get("Retry-After"))
    except ValueError:
        return None  # bytes that are no text: pyreqwest refuses to hand them out


def retry_after(value: str | None) -> float | None:
    """Seconds from a `Retry-After` header: a number, or a date (RFC 9110, section 10.2.3)."""
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


def explain(body: bytes, secret: str | None = None) -> str:
    """The message in an error's body, or the start of the body; one line without control characters.

    `secret` is cut out before anything else is: of a key that lies across the end, a part would be left.
    """
    text = body[:_READ].decode(errors="replace")
    try:
        error = json.loads(text)
        error = error.get("error", error)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        pass  # no JSON object: the text as it is
    if secret:
        text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _LENGTH]).split())
    return line[:_LENGTH] or "(empty)"
