"""A judge of criteria by rules alone, as a process: it stands in where no real one is, and knows nothing of medicine.

"Names X" is met where the reply has the words of X, "Hedges ..." where it says "or" or "maybe", others below six words.
Run as a process: python -m tests.support.criteria_stub PORT
"""

from __future__ import annotations

import re
import sys

from tests.support.judge_stub import JudgeStub

_REPLY = re.compile(r"<reply> (.*?) </reply>", re.DOTALL)
_ONE = re.compile(r"<criterion> (.*?) </criterion>", re.DOTALL)
_LISTED = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)


def met(criterion: str, reply: str) -> bool:
    """Whether a reply meets a criterion of one of the three forms."""
    words = re.findall(r"\w+", reply.lower())
    if criterion.startswith("Names "):
        return set(re.findall(r"\w+", criterion.removeprefix("Names ").lower())) <= set(words)
    if criterion.startswith("Hedges"):
        return bool({"or", "maybe"} & set(words))
    return len(words) < 6


def verdicts(prompt: str) -> str:
    """The reply to a question about one criterion, or about a list of them."""
    reply = _REPLY.search(prompt)
    if reply is None:
        return "NO"
    if (one := _ONE.search(prompt)) is not None:
        return "YES" if met(one[1], reply[1]) else "NO"
    listed = _LISTED.findall(prompt[prompt.index("<criteria>") : prompt.index("</criteria>")])
    return "\n".join(f"{number} {'YES' if met(text, reply[1]) else 'NO'}" for number, text in listed)


if __name__ == "__main__":
    JudgeStub(verdicts, int(sys.argv[1])).serve_forever()
