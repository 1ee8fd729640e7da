"""Monitor `hedging`: 1 when the answer commits to one thing, lower for every alternative or way out it adds.

A judge that wants to be kind says yes to "left or right"; this counts such answers without asking anybody.
"""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.grammar import normalize_answer
from medix_r1.rewards.base import Sample, Score

# Words that offer alternatives, and words that take the answer back.
_MARKS = re.compile(
    r"\b(?:and/or|or|either|versus|vs|alternatively|differential|possibly|perhaps|maybe|might|may be|could be|"
    r"uncertain|unclear|not sure|unsure|unknown|indeterminate|inconclusive|hard to say|"
    r"(?:cannot|can't|can not|could not|unable to) (?:be )?(?:determined?|tell|say|assess(?:ed)?|answer(?:ed)?)|"
    r"depends on|any of|all of the above|none of the above)\b|(?<=[a-z])/(?=[a-z])|[;\n]"
)


class HedgingMonitor:
    """1 / (1 + marks of hedging that the reference does not have). Not applicable without an answer. English only."""

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if not answer:
            return Score(None, "no answer")
        extra = _marks(answer) - _marks(sample.reference.answer)
        if not extra:
            return Score(1.0, "one answer")
        return Score(1.0 / (1.0 + extra.total()), "hedges: " + ", ".join(repr(mark) for mark in sorted(extra)))


def _marks(text: str) -> Counter[str]:
    # Lines are looked at before normalisation makes one of them.
    lines = [normalize_answer(line) for line in text.strip().splitlines()]
    return Counter(_MARKS.findall("\n".join(line for line in lines if line)))
