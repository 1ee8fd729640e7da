"""Why a call failed, as a code and a sentence for people: the status and the server's own words, never the request.

Every reason that the package makes from an exception of a call comes from here: judge, embedder, evaluation, data.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenacity import RetryError

from medix_r1.errors import MedixError, Problem
from medix_r1.models.reading.sent_texts import NOTHING_SENT, SentTexts

_LENGTH = 240  # characters of a server's sentence
_READ = 1 << 16  # bytes of a body that are searched for it
_TITLE = re.compile(r"<(title|h1)[^>]{0,200}>(.{0,300}?)</\1", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]{0,500}>")
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window)|max\w*.{0,30}(?:tokens|length)|too (?:long|large|many tokens)|prompt.{0,40}long",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"\bmodel\b.{0,120}(?:not exist|not found|unknown)", re.IGNORECASE)
_CODES = {
    401: ("wrong-key", "the API key is missing or wrong"),
    402: ("no-credit", "there is no credit left"),
    403: ("not-allowed", "the server forbids it"),
    408: ("timed-out", ""),
    413: ("too-long", ""),
    429: ("busy", ""),
    503: ("busy", ""),
}
# By the names of their classes, because each library brings its own.
_TIMEOUTS = {"TimeoutError", "TimeoutException", "APITimeoutError", "AttemptTimeoutError"}
_NOBODY = {"ConnectError", "ConnectionRefusedError"}
_CONNECTIONS = {"APIConnectionError", "TransportError", "ConnectionError"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call failed.

    Attributes:
        code: the kind, as in `Problem`.
        what: what happened, without the server's words: `HTTP 429`.
        said: the server's words, safe to show, or "".
    """

    code: str
    what: str
    said: str = ""

    def problem(self, attempts: int = 1) -> Problem:
        """The fault of a call that was made this often: `HTTP 429, asked 3 times: slow down`."""
        asked = f", asked {attempts} times" if attempts > 1 else ""
        return Problem("", self.code, f"{self.what}{asked}{f': {self.said}' if self.said else ''}")


class CallFailed(Exception):
    """A call of a server failed; its text is safe to show.

    Attributes:
        fault: why.
        status: of the reply, None without one.
    """

    def __init__(self, fault: Fault, status: int | None = None) -> None:
        super().__init__(fault.problem().text)
        self.fault, self.status = fault, status


def why(error: BaseException, sent: SentTexts = NOTHING_SENT) -> Problem:
    """The reason of an exception, for people; without a key.

    Args:
        error: of a call, of the user's code, or of a library.
        sent: what must not be shown, although the exception repeats it.
    """
    attempts = 1
    while isinstance(error, RetryError):
        attempts = error.last_attempt.attempt_number
        last = error.last_attempt.exception()
        if last is None:
            break
        error = last
    if isinstance(error, CallFailed):
        return error.fault.problem(attempts)
    if isinstance(error, MedixError):
        return Problem("", error.code, line(str(error), sent, shown=1000))
    return fault_of_exception(error, sent).problem(attempts)


def fault_of_exception(error: BaseException, sent: SentTexts = NOTHING_SENT) -> Fault:
    """The fault of an exception that is none of ours: a timeout, a lost connection, or something else by its type."""
    response = getattr(error, "response", None)
    if isinstance(status := getattr(response, "status_code", None), int):
        return fault_of_status(status, getattr(response, "content", b""), sent)
    chain = _chain(error)
    names = {cls.__name__ for each in chain for cls in type(each).__mro__}
    if names & _TIMEOUTS:
        return Fault("timed-out", "no answer in time")
    said = line(str(chain[-1]), sent)
    if names & _NOBODY:
        return Fault("no-answer", "no server answers", said)
    if names & _CONNECTIONS:
        return Fault("connection-lost", "the connection broke", said)
    return Fault("raised", type(error).__name__, line(str(error), sent))


def fault_of_status(status: int, body: bytes, sent: SentTexts = NOTHING_SENT, model: str | None = None) -> Fault:
    """The fault of a reply whose status is not 200."""
    what, said = f"HTTP {status}", server_sentence(body, sent)
    if is_page(body):
        what = f"HTTP {status} with a page of HTML"
    code, meaning = _CODES.get(status, ("", ""))
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        code = "too-long"
    elif status == 404:
        code = "unknown-model" if (model and model in said) or _NO_MODEL.search(said) else "no-such-address"
        meaning = "" if code == "unknown-model" else "nothing is served at this address, which ends in /v1"
    elif 300 <= status < 400:
        code, meaning = "redirected", "the server sends elsewhere, which is not followed"
    elif not code:
        code = "server-error" if status >= 500 else "refused-by-server"
    return Fault(code, f"{what}, {meaning}" if meaning else what, said)


def fault_of_body(body: bytes, sent: SentTexts = NOTHING_SENT) -> Fault | None:
    """The fault of a reply with status 200 that is neither a chat completion nor embeddings; None for one that is."""
    if is_page(body):
        return Fault("html-page", "HTTP 200 with a page of HTML in place of a reply", server_sentence(body, sent))
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        if not body.strip():
            return Fault("empty-body", "HTTP 200 with an empty body")
        return Fault("not-json", "HTTP 200 with a body that is no JSON, or is cut short", server_sentence(body, sent))
    if isinstance(reply, Mapping) and (reply.get("error") or reply.get("object") == "error"):
        return Fault("error-in-a-200", "HTTP 200 with an error in it", server_sentence(body, sent))
    entries = reply.get("choices", reply.get("data")) if isinstance(reply, Mapping) else None
    if not isinstance(entries, list) or not entries:
        return Fault("no-completion", "HTTP 200 without a completion", server_sentence(body, sent))
    if "choices" in reply and not (isinstance(entries[0], Mapping) and isinstance(entries[0].get("message"), Mapping)):
        return Fault("no-completion", "HTTP 200 with a completion without a message")
    return None


def is_page(body: bytes) -> bool:
    """Whether a body is HTML, as of a proxy or a login."""
    return body[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def server_sentence(body: bytes, sent: SentTexts = NOTHING_SENT) -> str:
    """The message in an error's body, a page's title, or the start of the body; one line, without what was sent."""
    text = body[:_READ].decode(errors="replace")
    if is_page(body):
        title = _TITLE.search(text)
        return line(_MARKUP.sub(" ", title[2] if title else text), sent)
    with contextlib.suppress(ValueError, RecursionError):  # no JSON: the raw text
        text = _message(json.loads(text))
    return line(text, sent) or "(empty)"


def line(text: str, sent: SentTexts = NOTHING_SENT, *, shown: int = _LENGTH) -> str:
    """The text on one line of bounded length, without control characters and without what was sent.

    What was sent is taken out before the text is cut, because the cut could leave a part of it.
    """
    hidden = sent.hide(text)
    return " ".join("".join(c if c.isprintable() else " " for c in hidden[: 4 * shown]).split())[:shown]


def _message(reply: Any) -> str:
    """The sentence in a JSON error of any of the forms in use: OpenAI's, FastAPI's, or a plain `message`."""
    if not isinstance(reply, Mapping):
        return str(reply)
    error = reply.get("error") or reply
    if isinstance(error, Mapping):
        for name in ("message", "detail", "msg", "error"):
            if error.get(name):
                return _listed(error[name])
    return _listed(error)


def _listed(said: Any) -> str:
    """FastAPI's list of `{loc, msg, input}` as `body.seed: Extra inputs are not permitted`; all else as it is."""
    if not isinstance(said, list) or not all(isinstance(one, Mapping) and one.get("msg") for one in said):
        return str(said)
    places = [".".join(map(str, one["loc"])) if isinstance(one.get("loc"), list | tuple) else "" for one in said]
    return "; ".join(f"{place}: {one['msg']}".removeprefix(": ") for place, one in zip(places, said, strict=True))


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and its causes; the last is the most specific one."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain
