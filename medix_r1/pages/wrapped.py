"""Text for the terminal that keeps its left edge where it is wrapped."""

from __future__ import annotations

import textwrap

_NO_BREAK = "\u00a0"


def hanging(first: str, text: str, width: int) -> str:
    """`first`, then the text; further lines begin below the text's first word."""
    if not text:
        return first
    return textwrap.fill(
        text,
        max(width, len(first) + 20),
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
        expand_tabs=False,
    )


def fields(first: str, text: str, width: int) -> str:
    """As `hanging`, for fields that two blanks part; none is broken within."""
    parts = [part.replace(" ", _NO_BREAK) for part in text.split("  ") if part]
    lines, line = [], first
    for part in parts:
        gap = "" if line in (first, " " * len(first)) else "  "
        if gap and len(line) + 2 + len(part) > width:
            lines.append(line)
            line, gap = " " * len(first), ""
        line += gap + part
    return "\n".join([*lines, line]).replace(_NO_BREAK, " ")
