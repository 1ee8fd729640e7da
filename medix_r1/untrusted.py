"""Sanitises untrusted text (of models, judges, data sets) for terminal, Markdown and CSV.

In HTML, jinja2's autoescape does it. In the terminal, use `plain` and rich's `escape`.
"""

from __future__ import annotations

import html
import re

# Control characters (not \n and \t), zero-width and bidirectional-formatting characters, line separators, surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_MARKDOWN = re.compile(
    r"([\\`*_{}\[\]#|~$@!]|:(?=//)|(?<=www)\.)", re.IGNORECASE
)  # also what starts a link or a mention
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\n", "|", "%")


def plain(text: str) -> str:
    """Replace each control character by U+FFFD."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line; beyond `limit` characters it is truncated, with a note of how many were cut."""
    joined = " ".join(plain(text).split())
    return joined if len(joined) <= limit else f"{joined[:limit]}… ({len(joined) - limit} more characters)"


def markdown(text: str, limit: int = 300) -> str:
    """The text on one line of Markdown, with markup, links and HTML escaped."""
    return html.escape(_MARKDOWN.sub(r"\\\1", one_line(text, limit)), quote=False)


def cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet evaluates as a formula (OWASP: CSV injection).

    A text that begins with a formula character, also after blanks, gets an apostrophe in front.
    """
    clean = plain(text)
    return f"'{clean}" if clean.startswith(("\t", "\n")) or clean.lstrip().startswith(_FORMULA) else clean
