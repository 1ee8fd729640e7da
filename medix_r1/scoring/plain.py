"""Makes untrusted text safe for a terminal: it cannot move the cursor, hide text or reverse its direction."""

from __future__ import annotations

import unicodedata

from rich.text import Text

_SHOWN_AS = {"\n": "⏎\n", "\t": "\t"}


def plain(text: str, *, limit: int = 2000) -> Text:
    r"""Replace control and format characters by `\uXXXX`, and truncate.

    Args:
        text: untrusted.
        limit: maximal number of characters.
    """
    shown = "".join(_visible(character) for character in text[:limit])
    left_out = len(text) - limit
    return Text(shown if left_out <= 0 else f"{shown} … ({left_out} more characters)")


def _visible(character: str) -> str:
    if character in _SHOWN_AS:
        return _SHOWN_AS[character]
    return (
        f"\\u{ord(character):04x}"
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        else character
    )
