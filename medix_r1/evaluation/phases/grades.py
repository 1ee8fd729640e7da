"""Parses a judge's reply: YES or NO for short answers, a grade in JSON for reports. What is in doubt is neither."""

from __future__ import annotations

import re

from medix_r1.models.reading.json_objects import objects_in
from medix_r1.models.reading.reply_text import read_verdict, strip_thinking

BEST_GRADE = 5
_WHOLE = re.compile(r"\s*(\d+)(?:\.0+)?\s*(?:/\s*5)?\s*")
_TOLD = re.compile(
    r"\b(?:score|grade)\b[\s*_\"'`]{0,4}(?:is|:|=)[\s*_\"'`]{0,4}(\d+(?:\.\d+)?)(?!\s*(?:to\b|[-–]))", re.IGNORECASE
)


def read_match(reply: str) -> tuple[float, str] | None:
    """Parse `YES` or `NO` and the reason after it, as (1 or 0, reason); None for anything else."""
    read = read_verdict(reply)
    return None if read is None else (float(read[0]), read[1])


def read_grade(reply: str) -> tuple[float, str] | None:
    """Parse a JSON grade, a whole number from 0 to 5 with a reason, as (grade / 5, reason); None for anything else.

    Prose, a code fence and other keys may surround it; a second grade that differs leaves it in doubt.
    """
    text = strip_thinking(reply)
    grades: set[int | None] = set()
    reason: str | None = None
    prose, end = [], 0
    for start, stop, pairs in objects_in(text):
        prose.append(text[end:start])
        end = stop
        members = [(key.strip().lower(), value) for key, value in pairs]
        scores = {_whole(value) for key, value in members if key == "score"}
        reasons = [value for key, value in members if key == "reason" and isinstance(value, str)]
        if scores and len(reasons) != 1:
            return None  # without a reason it is not what was asked for
        if scores:
            grades |= scores
            reason = reasons[0]
    prose.append(text[end:])
    told = {_whole(number) for number in _TOLD.findall("\n".join(prose))}
    if len(grades | told) != 1 or None in grades or reason is None:
        return None
    (grade,) = grades
    return None if grade is None else (grade / BEST_GRADE, reason)


def _whole(value: object) -> int | None:
    """A grade from a number or its text, `4`, `4.0`, `"4"` or `"4/5"`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _WHOLE.fullmatch(str(value))
    grade = int(match[1][:3]) if match else None
    return grade if grade is not None and grade <= BEST_GRADE else None
