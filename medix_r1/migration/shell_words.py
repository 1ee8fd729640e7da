"""Splits a shell script into words and signs. Marks keep what quoting says; nothing is filled in yet."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

# Private characters; a script that holds them is refused.
DOLLAR, OPEN, CLOSE = "\ue000", "\ue001", "\ue002"  # a $ that stands for itself; the number of a $(…)
UNKNOWN = "\ue003"  # stands before and after what is not known
QUOTED = "\ue006"  # a $ in double quotes: what it stands for stays one word
SPLIT = "\ue007"  # a blank of an unquoted value: here the word ends
PRIVATE = re.compile("[\ue000-\ue007]")
NEW_LINE = "\n"

_HERE_DOCUMENT = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1[^\n]*\n(?:.*?\n)??[ \t]*\2[ \t]*(?=\n|$)", re.DOTALL)
_SIGNS = ";&|()<>"


class NotReadable(ValueError):
    """The text is no shell script that can be read."""


@dataclass(slots=True)
class Words:
    """The words and signs of a script, `NEW_LINE` after each line, and what stands in its `$(…)`."""

    words: list[str] = field(default_factory=list)
    substitutions: list[str] = field(default_factory=list)

    def add(self, text: str) -> list[str]:
        """Split a text, which may hold marks; its words, which are not kept here."""
        joined = _HERE_DOCUMENT.sub("", text.replace("\r\n", "\n")).replace("\\\n", " ")
        return [word for line in _logical_lines(joined, self.substitutions) for word in _split(line)]


def words_of(text: str) -> Words:
    """The words of a script.

    Raises:
        NotReadable: a quote or a bracket is not closed, or the text holds characters of private use.
    """
    if PRIVATE.search(text):
        raise NotReadable("it holds characters of private use")
    found = Words()
    found.words = found.add(text)
    return found


def is_sign(word: str) -> bool:
    """Whether a word ends a command or sends its output somewhere."""
    return word == NEW_LINE or (bool(word) and set(word) <= set(_SIGNS))


def _split(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=_SIGNS)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        yield from lexer
    except ValueError as error:
        raise NotReadable(f"a quote is not closed near {line[:60]!r}") from error
    yield NEW_LINE


def _logical_lines(text: str, substitutions: list[str]) -> list[str]:
    """Lines without comments; a line break in quotes or brackets does not end one. `$(…)` is put aside."""
    lines, line, quote, depth, i = [], "", "", 0, 0
    while i < len(text):
        char = text[i]
        if char == "\\" and quote != "'":
            line, i = line + (DOLLAR if text[i + 1 : i + 2] == "$" else text[i : i + 2]), i + 2
            continue
        if text.startswith("$(", i) and quote != "'":
            end = _closing(text, i + 1)
            substitutions.append(text[i + 2 : end])
            line, i = f"{line}{OPEN}{len(substitutions) - 1}{CLOSE}", end + 1
            continue
        if char == "`" and quote != "'" and (end := text.find("`", i + 1)) > 0:  # an older way to write $(…)
            substitutions.append(text[i + 1 : end])
            line, i = f"{line}{OPEN}{len(substitutions) - 1}{CLOSE}", end + 1
            continue
        if quote:
            quote = "" if char == quote else quote
            char = {"'": DOLLAR, '"': QUOTED}.get(quote, char) if char == "$" else char
        elif char in "'\"":
            quote = char
        elif char == "#" and (not line or line[-1].isspace()):
            end = text.find("\n", i)
            i = len(text) if end < 0 else end
            continue
        elif char in "()":
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char == "\n" and not depth:
            lines.append(line)
            line, char = "", ""
        line, i = line + char, i + 1
    if quote:
        raise NotReadable(f"a quote ({quote}) is not closed")
    return [one for one in [*lines, line] if one.strip()]


def _closing(text: str, opening: int) -> int:
    depth = 0
    for i in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if not depth:
            return i
    raise NotReadable("a bracket after $ is not closed")
