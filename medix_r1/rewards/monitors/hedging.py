"""Monitor `hedging`: 1 when the answer commits to one thing, lower for every alternative or expression of doubt.

A lenient judge accepts "left or right"; this monitor counts such answers by rules.
"""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.alternatives import alternatives
from medix_r1.wording.spelling import normalize_answer

_ONE_ANSWER = Score(1.0, "one answer")
_DOUBTS = re.compile(
    r"\b(?:possibly|perhaps|maybe|might|may be|could be|uncertain|not (?:\w{4,10}ly )?(?:certain|sure)|unclear|"
    r"can't be sure|unsure|unknown|indeterminate|"
    r"inconclusive|hard to say|depends on|(?:i|my) (?:best |only |first )?guess|i(?:'m| am) guessing|i suppose|"
    r"(?:cannot|can't|can not|could not|unable to) (?:be )?(?:determined?|tell|say|assess(?:ed)?|answer(?:ed)?))\b"
)


class HedgingMonitor:
    """1 / (1 + rivals + expressions of doubt that the reference does not have). Not applicable without an answer.

    English only. Rivals are the things offered beside the reference, or as a choice (wording/alternatives.py).
    """

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        return _compare(answer, sample.reference.answer) if answer else Score(None, "no answer")


@bounded_cache
def _compare(answer: str, wanted: str) -> Score:
    doubts, rivals = Counter(_DOUBTS.findall(normalize_answer(answer))), alternatives(answer, wanted)
    if doubts:
        doubts -= Counter(_DOUBTS.findall(normalize_answer(wanted)))
    signs = [*sorted(doubts.elements()), *rivals]
    if not signs:
        return _ONE_ANSWER
    return Score(1.0 / (1.0 + len(signs)), "hedges: " + ", ".join(map(repr, signs)))
