"""The message of a chat completion: its text, its thinking, and why no verdict or grade can be read in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medix_r1.errors import Problem
from medix_r1.models.reading.sent_texts import NOTHING_SENT, SentTexts
from medix_r1.models.reading.verdict_text import is_cut_thinking
from medix_r1.untrusted import one_line

_QUOTED = 80  # characters of a reply that a reason quotes


@dataclass(frozen=True, slots=True)
class Message:
    """What a model said.

    Attributes:
        text: of the reply; a think block that the server left in it included.
        thinking: what the server sent beside the text, or "".
        finish_reason: as the server sent it: "stop", "length", ...; None without one.
        refusal: what the server sent in place of a text, or "".
    """

    text: str
    thinking: str = ""
    finish_reason: str | None = None
    refusal: str = ""


def message_of(choice: Mapping[str, Any]) -> Message:
    """Read one choice of a chat completion.

    Raises:
        TypeError, KeyError: it is none.
    """
    message = choice["message"]
    if not isinstance(message, Mapping):
        raise TypeError("there is no message")
    beside = message.get("reasoning_content") or message.get("reasoning") or ""
    refusal = message.get("refusal") or ""
    text, thinking = content_text(message.get("content") if beside or refusal else message["content"])
    return Message(text, thinking + str(beside), choice.get("finish_reason"), str(refusal))


def content_text(content: object) -> tuple[str, str]:
    """Text and thinking of a message's content: a text, a list of parts, or None.

    Raises:
        TypeError: it is something else.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise TypeError(f"the content is {type(content).__name__}, neither text nor a list of parts")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        kind = str(part["type"])
        text = "".join(content_text(part.get("text", part.get(kind, ""))))  # Mistral's parts of thinking hold parts
        (texts if kind in ("text", "output_text") else thoughts).append(text)
    return "".join(texts), "".join(thoughts)


def why_unreadable(
    message: Message, max_tokens: int | None, wanted: str, sent: SentTexts = NOTHING_SENT, *, quote: bool = True
) -> Problem:
    """Say why no verdict can be read in a reply, and quote it without the passages that repeat what was sent.

    Args:
        message: the reply.
        max_tokens: the limit that it had.
        wanted: what was asked for.
        sent: the texts that were put into the prompt.
        quote: False where the texts are under a data-use agreement, so that nothing is quoted.
    """
    text, thinking = message.text.strip(), message.thinking.strip()

    def quoted(part: str) -> str:
        return repr(one_line(part)) if quote else "(a text that is not shown)"

    is_cut = message.finish_reason == "length"
    if is_cut and (is_cut_thinking(text) or (thinking and not text)):
        end = quoted("…" + sent.hide_quotes(thinking or text)[-_QUOTED:])
        says = f"was cut at {max_tokens} tokens while thinking: {end}; raise max_tokens, or turn thinking off"
        return Problem("", "cut-while-thinking", says)
    if not text and message.refusal:
        says = f"refused: {quoted(sent.hide_quotes(message.refusal)[:_QUOTED])}"
        return Problem("", "refused-to-answer", says)
    if not text:
        says = f"sent an empty reply (finish reason {message.finish_reason}, max_tokens {max_tokens})"
        return Problem("", "empty-reply", says)
    start = quoted(sent.hide_quotes(text)[:_QUOTED])
    if is_cut:
        return Problem("", "cut-reply", f"was cut at {max_tokens} tokens: {start}, which is not {wanted}")
    return Problem("", "no-verdict", f"answered {start}, which is not {wanted}")
