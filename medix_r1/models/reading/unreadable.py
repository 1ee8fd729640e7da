"""Says why no verdict or grade can be read in a reply."""

from __future__ import annotations

from medix_r1.errors import Problem
from medix_r1.models.reading.reply_text import Message, is_cut_thinking
from medix_r1.models.reading.sent_texts import NOTHING_SENT, SentTexts
from medix_r1.untrusted import one_line

_QUOTED = 80  # characters of a reply that a reason quotes


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
