"""Lets a judge list the findings of a report; its client caches the list, as it does verdicts."""

from __future__ import annotations

import re

from medix_r1 import prompts
from medix_r1.models.verdict import OpenQuestion, Writer
from medix_r1.wording.spelling import is_gradable, normalize_answer

PROMPT = "findings_list"
_MARK = re.compile(r"^\s*(?:[-*•–—·]+|\(?\d{1,3}[.)])\s*")
_MAX_TOKENS = 1024
_MOST = 100  # findings of a report


async def listed(text: str, judge: Writer) -> tuple[str, ...]:
    """The findings of a report as a judge lists them, each once; none for a text without a letter or digit.

    Raises:
        JudgeUnavailable, JudgeRejected: as of `Writer.write`; a reply with no line that can be graded is rejected.
    """
    if not is_gradable(text):
        return ()
    question = OpenQuestion(
        prompts.fill(prompts.load(PROMPT), report=text),
        _MAX_TOKENS,
        lambda reply: bool(_lines(reply)),
        "a list of findings, one on a line",
        (text,),
    )
    return _lines(await judge.write(question))


def _lines(reply: str) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for line in reply.splitlines():
        bare = _MARK.sub("", line).strip()
        if is_gradable(bare):
            found.setdefault(normalize_answer(bare), bare)
    return tuple(found.values())[:_MOST]
