"""Settings of a reward with confidence that are refused: being surely wrong would pay, or nothing is said.

With the verdict's weight L and the calibration's w, an honest policy that is right with probability p expects
L·p + w(1 - p + p²) from both with the Brier score, and L·p + w·sqrt(p² + (1 - p)²) with the spherical one. Both rise in
p for every p in [0, 1] exactly if w is at most L: the slopes at p = 0 are L - w. So a larger w would pay for being
wrong with certainty, and is refused in every table of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medix_r1.confidence import ELEMENTS
from medix_r1.errors import Problem
from medix_r1.rewards.needs import needs_of

_CLASS = "medix_r1.rewards.calibration.CalibrationReward"


def calibration_problems(node: Mapping[str, Any]) -> list[Problem]:
    """Every problem of a `reward` node that has to do with confidence."""
    wanted = node.get("confidence", "none")
    if wanted not in ELEMENTS:
        return [Problem("reward.confidence", "not-a-choice", f"'{wanted}' is none of {', '.join(ELEMENTS)}")]
    problems = []
    if wanted != "none" and node["parser"] != "strict":
        says = "the public parser knows no <confidence>; use reward.parser=strict, or reward.confidence=none"
        problems.append(Problem("reward.confidence", "not-with-this-parser", says))
    for name in calibrated(node):
        if wanted == "none":
            says = "nobody is asked for a confidence; set reward.confidence=optional or required, or the signal to null"
            problems.append(Problem(f"reward.signals.{name}", "nothing-to-calibrate", says))
        problems += _too_heavy(node, name)
    return problems


def calibrated(node: Mapping[str, Any]) -> list[str]:
    """Names of the signals that score a confidence."""
    signals = node["signals"].items()
    return [name for name, one in signals if isinstance(one, Mapping) and one.get("_target_") == _CLASS]


def weight_in(node: Mapping[str, Any], name: str) -> float:
    """Largest weight of a signal in any table."""
    return max((_number(weights.get(name)) for _, weights in _tables(node)), default=0.0)


def _too_heavy(node: Mapping[str, Any], name: str) -> Iterator[Problem]:
    needs = needs_of(node["signals"][name])
    for key, weights in _tables(node) if needs else ():
        judged = needs[0]
        mine, its = _number(weights.get(name)), _number(weights.get(judged))
        if mine > its:
            says = (
                f"{mine:g} is more than the {its:g} of {judged}: then being surely wrong pays more than being right "
                f"now and then; use at most the weight of {judged}"
            )
            yield Problem(f"{key}.{name}", "confidence-outweighs-verdict", says)


def _tables(node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "reward.weights", node["weights"]
    for by, table in (node.get("weight_tables") or {}).items():
        for value, weights in (table or {}).items():
            if isinstance(weights, Mapping):
                yield f"reward.weight_tables.{by}.{value}", weights


def _number(weight: Any) -> float:
    return float(weight) if isinstance(weight, int | float) and not isinstance(weight, bool) else 0.0
