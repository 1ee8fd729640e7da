"""Text of a model as it may be shown on a terminal: nothing in it moves the cursor, hides, or turns the line round."""

from __future__ import annotations

import unicodedata

from rich.text import Text

_SPOKEN = {"\n": "⏎\n", "\t": "\t"}


def plain(text: str, *, limit: int = 2000) -> Text:
    """Show every control and format character by its number, and cut what is too long.

    Args:
        text: anything; a policy is rewarded for finding holes.
        limit: characters that are shown.
    """
    shown = "".join(_visible(character) for character in text[:limit])
    left_out = len(text) - limit
    return Text(shown if left_out <= 0 else f"{shown} … ({left_out} more characters)")


def _visible(character: str) -> str:
    if character in _SPOKEN:
        return _SPOKEN[character]
    return (
        f"\\u{ord(character):04x}"
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        else character
    )
