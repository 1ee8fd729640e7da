"""Signal `calibration`: a proper score of the confidence that a reply states, against the verdict on its answer.

With c the stated confidence and y the verdict (1 right, 0 wrong):

- `brier`: 1 - (c - y)², as in RLCR (arXiv 2507.16806);
- `spherical`: p / sqrt(c² + (1 - c)²), where p is c for y = 1 and 1 - c for y = 0.

Both are in [0, 1], and the expected score is largest where c is the probability of being right. docs/calibration.md has
the derivation and what bounds the weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.base import Sample, Score

RULES = ("brier", "spherical")
MODES = ("binary", "probability")
ABSTAINED = "abstained"  # number of a verdict's score: the answer says that it does not know

_NOTHING_SAID = Score(0.0, "no readable confidence")
_NO_VERDICT = Score(None, "no verdict to compare with")


class CalibrationReward:
    """Scores the confidence behind an answer; a missing or unreadable one scores 0.

    Args:
        needs: name of the signal that gives the verdict, such as `[llm]`; exactly one.
        rule: `brier` or `spherical`.
        mode: `binary` takes a verdict of at least 0.5 for 1 and a lower one for 0; `probability` takes it as it is,
            such as the judge's P(YES).

    Raises:
        ConfigError: not exactly one name, or an unknown rule or mode.
    """

    needs: tuple[str, ...] = ()

    def __init__(self, *, needs: Sequence[str], rule: str = "brier", mode: str = "binary") -> None:
        problems = []
        if isinstance(needs, str) or len(needs) != 1:
            problems.append(
                Problem("needs", "not-one-verdict", f"{needs!r} has to be a list of one signal, such as [llm]")
            )
        for key, value, known in (("rule", rule, RULES), ("mode", mode, MODES)):
            if value not in known:
                problems.append(Problem(key, "not-a-choice", f"'{value}' is none of {', '.join(known)}"))
        if problems:
            raise ConfigError([problem.below("reward.signals.calibration.") for problem in problems])
        self.needs = tuple(needs)
        self.rule, self.mode = rule, mode

    def score(self, sample: Sample, scores: Mapping[str, Score]) -> Score:
        """Compare the confidence with the verdict.

        Args:
            sample: the rollout.
            scores: the scores of the signals in `needs`.
        """
        said = scores[self.needs[0]]
        if said.value is None:
            return _NO_VERDICT
        confidence = sample.completion.confidence
        if confidence is None:
            return _NOTHING_SAID
        verdict = self.verdict(said)
        value = proper_score(confidence, verdict, self.rule)
        reason = f"said {confidence:g}, verdict {verdict:g}"
        return Score(value, reason, {"confidence": confidence, "verdict": verdict})

    def verdict(self, said: Score) -> float:
        """1 for right, 0 for wrong, in between in the mode `probability`; an abstention is wrong."""
        value = said.value or 0.0
        if said.numbers and said.numbers.get(ABSTAINED):
            return 0.0
        return float(value >= 0.5) if self.mode == "binary" else value


def proper_score(confidence: float, verdict: float, rule: str = "brier") -> float:
    """The score of a stated confidence, in [0, 1].

    Args:
        confidence: c in [0, 1].
        verdict: y in [0, 1].
        rule: `brier` or `spherical`. A verdict between 0 and 1 is the mean of the scores of 1 and 0.
    """
    if rule == "brier":
        return 1.0 - (confidence - verdict) ** 2
    length = math.hypot(confidence, 1.0 - confidence)
    return (verdict * confidence + (1.0 - verdict) * (1.0 - confidence)) / length


def pays_to_abstain_below(weight: float, judged: float, value: float) -> float:
    """Probability of being right below which an abstention is worth more than an honest answer, with `brier`.

    An honest answer expects L·p + w(1 - p + p²); an abstention that says 0 gets L·a + w. They are equal at the positive
    root of w·p² + (L - w)·p - L·a = 0. Other signals are left out.

    Args:
        weight: w, of the calibration.
        judged: L, of the verdict; at least w.
        value: a, what an abstention is worth to the verdict.
    """
    if weight == 0.0:
        return value
    slope = judged - weight
    return (-slope + math.sqrt(slope**2 + 4.0 * weight * judged * value)) / (2.0 * weight)
