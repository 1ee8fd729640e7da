"""Monitor `hedging`: 1 when the answer commits to one thing, lower for every alternative or expression of doubt.

A lenient judge accepts "left or right"; this monitor counts such answers by rules.
"""

from __future__ import annotations

import re

from medix_r1.bounded_cache import bounded_cache
from medix_r1.rewards.alternatives import alternatives, signs
from medix_r1.rewards.base import Sample, Score

_ONE_ANSWER = Score(1.0, "one answer")
_DOUBTS = re.compile(
    r"\b(?:possibly|perhaps|maybe|might|may be|could be|uncertain|unclear|not sure|unsure|unknown|indeterminate|"
    r"inconclusive|hard to say|depends on|"
    r"(?:cannot|can't|can not|could not|unable to) (?:be )?(?:determined?|tell|say|assess(?:ed)?|answer(?:ed)?))\b"
)


class HedgingMonitor:
    """1 / (1 + signs of hedging that the reference does not have). Not applicable without an answer. English only."""

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        return _compare(answer, sample.reference.answer) if answer else Score(None, "no answer")


@bounded_cache
def _compare(answer: str, wanted: str) -> Score:
    doubts, offered = signs(answer, _DOUBTS), alternatives(answer, wanted)
    if not doubts and not offered:
        return _ONE_ANSWER
    extra = doubts - signs(wanted, _DOUBTS) + offered
    if not extra:
        return _ONE_ANSWER
    return Score(1.0 / (1.0 + extra.total()), "hedges: " + ", ".join(repr(mark) for mark in sorted(extra)))
