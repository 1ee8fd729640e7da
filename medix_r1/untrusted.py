"""Replies of a model, judge or stranger, made safe to show: each place a text can end up has its own rule.

For HTML the templates escape by themselves (jinja2, autoescape), for the terminal `plain` and rich's own `escape`.
"""

from __future__ import annotations

import html
import re

# Everything that moves a cursor, changes a colour or the reading direction, and halves of characters; not \n and \t.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$@!]|:(?=//)|(?<=www)\.)", re.IGNORECASE)  # with addresses and names
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\n", "|", "%")


def plain(text: str) -> str:
    """The text without control characters; each becomes U+FFFD, so that one sees there was something."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line of at most `limit` characters; what is cut is said."""
    joined = " ".join(plain(text).split())
    return joined if len(joined) <= limit else f"{joined[:limit]}… ({len(joined) - limit} more characters)"


def markdown(text: str, limit: int = 300) -> str:
    """The text as words inside a Markdown line: no markup, no link, no HTML of its own."""
    return html.escape(_MARKDOWN.sub(r"\\\1", one_line(text, limit)), quote=False)


def cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula (OWASP: CSV injection).

    A first character that starts a formula gets an apostrophe before it, also behind blanks, which spreadsheets skip.
    """
    clean = plain(text)
    return f"'{clean}" if clean.startswith(("\t", "\n")) or clean.lstrip().startswith(_FORMULA) else clean
