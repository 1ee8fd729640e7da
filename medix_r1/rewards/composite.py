"""The composite reward: a weighted sum of signals. The only place that knows weights.

overall = 0.5175·llm + 0.3375·embed + 0.10·format + 0.045·modality (arXiv 2602.23363, section 3; the weights are those
of its public configuration). The unweighted parts are always kept under the same names, so that ablations are a line of
YAML and the reason for every reward can be read back.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass

from medix_r1.errors import ConfigError, EmbedderError, JudgeError, JudgeUnavailable
from medix_r1.rewards.base import Reward, Sample, Score


@dataclass(frozen=True, slots=True)
class RewardBreakdown:
    """The reward of one rollout and how it came about.

    `total` is None when a signal with weight failed: such a sample is masked, not scored. `outage` says that the
    failure was of the server and not of the sample.
    """

    total: float | None
    parts: Mapping[str, Score]
    failure: str | None = None
    outage: bool = False


class CompositeReward:
    """Runs all signals of a sample at once and sums them.

    Args:
        signals: name → signal.
        weights: name → weight, finite, at least 0, summing to 1. A signal without a weight is a monitor.

    Raises:
        ConfigError: with every problem of the weights.
    """

    def __init__(self, *, signals: Mapping[str, Reward], weights: Mapping[str, float]) -> None:
        if problems := weight_problems(weights, signals):
            raise ConfigError(problems)
        self.signals, self.weights = dict(signals), {name: float(weights.get(name, 0.0)) for name in signals}

    async def score(self, sample: Sample) -> RewardBreakdown:
        """Score one rollout; a failing signal masks the sample, any other error is a bug and is raised."""
        outcomes = await asyncio.gather(*(self._part(name, sample) for name in self.signals))
        parts = {name: part for name, (part, _) in zip(self.signals, outcomes, strict=True)}
        failures = [
            (name, error)
            for name, (_, error) in zip(self.signals, outcomes, strict=True)
            if error and self.weights[name]
        ]
        if failures:
            return RewardBreakdown(
                total=None,
                parts=parts,
                failure="; ".join(f"{name}: {error}" for name, error in failures),
                outage=any(isinstance(error, JudgeUnavailable | EmbedderError) for _, error in failures),
            )
        return RewardBreakdown(total=self._total(parts), parts=parts)

    async def _part(self, name: str, sample: Sample) -> tuple[Score, JudgeError | EmbedderError | None]:
        try:
            return await self.signals[name].score(sample), None
        except (JudgeError, EmbedderError) as error:
            return Score(None, f"failed: {error}"), error

    def _total(self, parts: Mapping[str, Score]) -> float:
        """Weighted sum; the weight of signals that do not apply is shared out in proportion among the others."""
        applicable = {name: part.value for name, part in parts.items() if part.value is not None}
        weight = math.fsum(self.weights[name] for name in applicable)
        if weight == 0.0:
            return 0.0
        return math.fsum(self.weights[name] * value for name, value in applicable.items()) / weight


def weight_problems(weights: Mapping[str, float], signals: Mapping[str, object]) -> list[str]:
    """Every problem of `reward.weights`, each with its key and the fix."""
    problems = [
        f"reward.weights.{name}: no signal of this name; known: {', '.join(sorted(signals))}"
        for name in weights
        if name not in signals
    ]
    problems += [
        f"reward.weights.{name}: {weight!r} must be a finite number of at least 0"
        for name, weight in weights.items()
        if not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0
    ]
    if not problems and not math.isclose(total := math.fsum(weights.values()), 1.0, abs_tol=1e-6):
        problems.append(f"reward.weights: they sum to {total:g}; make them sum to 1")
    return problems
