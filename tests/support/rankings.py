"""What a stub judge says of a group: a ranking of the answers that it is shown, by the words they share."""

from __future__ import annotations

import itertools
import re

from tests.support.judge_stub import same_string

SHOWN = re.compile(r"^<answer_([A-Z]+)> (.*) </answer_\1>$", re.MULTILINE)
_REFERENCE = re.compile(r"<reference> (.*) </reference>")


def worth(answer: str, reference: str) -> float:
    """Words that an answer shares with the reference, less what it has besides."""
    given, wanted = set(answer.lower().split()), set(reference.lower().split())
    return len(given & wanted) - 0.01 * len(given - wanted)


def opinion(prompt: str) -> str:
    """A ranking of what is shown, or YES to an equal answer."""
    shown, reference = dict(SHOWN.findall(prompt)), _REFERENCE.search(prompt)
    if not shown or reference is None:
        return same_string(prompt)
    value = {name: worth(text, reference[1]) for name, text in shown.items()}
    order = sorted(value, key=lambda name: -value[name])
    pairs = itertools.pairwise(order)
    return order[0] + "".join(f" {'=' if value[a] == value[b] else '>'} {b}" for a, b in pairs)
