"""The optional element `<confidence>0.8</confidence>` behind the answer: found, taken off, read.

The number is the policy's own probability that its answer is right. What is no decimal number from 0 to 1 is
unreadable, never guessed: `80 %`, `0,8`, `1e-1`, words and several numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Element = Literal["none", "optional", "required"]
ELEMENTS: tuple[Element, ...] = ("none", "optional", "required")

_NAME = "confidence"
_MARK = re.compile(r"<\s{0,8}(/?)\s{0,8}confidence\s{0,8}>", re.IGNORECASE)
_NUMBER = re.compile(r"(?:0(?:\.[0-9]{0,12})?|\.[0-9]{1,12}|1(?:\.0{0,12})?)")
_MAX_PREFIX = 18  # characters of a mark before its name, as `_MARK` allows


@dataclass(frozen=True, slots=True)
class Confidence:
    """What a reply says of itself.

    Attributes:
        rest: the reply without its confidence block; the whole reply if there is none at its end.
        value: in [0, 1]; None if there is no readable one.
        problems: format errors.
    """

    rest: str
    value: float | None
    problems: tuple[str, ...] = ()


def split_confidence(text: str, wanted: Element) -> Confidence:
    """Take the block off the end of a reply, in linear time.

    Args:
        text: the reply.
        wanted: `none` looks for nothing, `optional` allows the block, `required` misses it.
    """
    if wanted == "none":
        return Confidence(text, None)
    marks = _marks(text)
    if not marks:
        missing = ("no <confidence> block",) if wanted == "required" else ()
        return Confidence(text, None, missing)
    if len(marks) != 2 or marks[0][1] or not marks[1][1]:
        return Confidence(text, None, ("several <confidence> blocks, or one that is not closed",))
    start, end = marks
    if text[end.end() :].strip():
        return Confidence(text, None, ("<confidence> block that is not the last",))
    rest, said = text[: start.start()], text[start.end() : end.start()].strip()
    if not _NUMBER.fullmatch(said):
        return Confidence(rest, None, ("confidence that is no number from 0 to 1",))
    return Confidence(rest, float(said))


def _marks(text: str) -> list[re.Match[str]]:
    """All marks; it searches for the name and not for `<`, of which hostile text may have very many."""
    lowered = text.replace("\u0130", "_").lower()  # the only character that lower() makes longer; indices must agree
    found = []
    place = lowered.find(_NAME)
    while place >= 0:
        start = text.rfind("<", max(0, place - _MAX_PREFIX), place)
        mark = _MARK.match(text, start) if start >= 0 else None
        if mark is not None and mark.start() <= place < mark.end():
            found.append(mark)
        place = lowered.find(_NAME, place + len(_NAME))
    return found
