"""Monitor `hedging`: 1 when the answer commits to one thing, lower for every alternative or way out it adds.

A judge that wants to be kind says yes to "left or right"; this counts such answers without asking anybody.
"""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.remembered import remembered
from medix_r1.rewards.alternatives import alternatives, signs
from medix_r1.rewards.base import Sample, Score

# Words that take an answer back.
_DOUBTS = re.compile(
    r"\b(?:possibly|perhaps|maybe|might|may be|could be|uncertain|unclear|not sure|unsure|unknown|indeterminate|"
    r"inconclusive|hard to say|depends on|"
    r"(?:cannot|can't|can not|could not|unable to) (?:be )?(?:determined?|tell|say|assess(?:ed)?|answer(?:ed)?))\b"
)


class HedgingMonitor:
    """1 / (1 + marks of hedging that the reference does not have). Not applicable without an answer. English only."""

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if not answer:
            return Score(None, "no answer")
        extra = _hedges(answer, sample.reference.answer)
        if not extra:
            return Score(1.0, "one answer")
        return Score(1.0 / (1.0 + extra.total()), "hedges: " + ", ".join(repr(mark) for mark in sorted(extra)))


@remembered
def _hedges(answer: str, wanted: str) -> Counter[str]:
    return signs(answer, _DOUBTS) - signs(wanted, _DOUBTS) + alternatives(answer, wanted)
