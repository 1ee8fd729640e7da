"""The composite reward: a weighted sum of signals. The only place that knows how weights are used.

overall = 0.5175·llm + 0.3375·embed + 0.10·format + 0.045·modality (arXiv 2602.23363, section 3; the weights are those
of its public configuration). The unweighted parts are always kept under the same names, so that ablations are a line of
YAML and the reason for every reward can be read back. Checks of the weights are next door, in weights.py.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medix_r1.errors import ConfigError, EmbedderError, EmbedderRejected, JudgeError, JudgeUnavailable, RewardError
from medix_r1.rewards.base import Reward, Sample, Score, Started
from medix_r1.rewards.weights import WeightTables, gate_problems, share_out, table_problems, weight_problems

__all__ = ["CompositeReward", "RewardBreakdown", "weight_problems"]

Failure = JudgeError | EmbedderError | RewardError
_FAILURES = (JudgeError, EmbedderError, RewardError)
_NOT_ASKED = Score(None, "not asked yet")


@dataclass(frozen=True, slots=True)
class RewardBreakdown:
    """The reward of one rollout and how it came about.

    Attributes:
        total: in [0, 1], the sum of weight · value; None when it cannot be told. Such a sample is masked, not scored.
        parts: signal → unweighted score.
        weights: signal → the weight that counted here, after the weights of signals that do not apply were shared out.
            They sum to 1, unless the gate is shut: then only the gate's own weight is left. Empty without a total.
        failure: why there is no total.
        outage: the failure is of a server or of code, not of this sample; going on makes no sense.
        gate_shut: the gate signal is below 1, so nothing else was counted.
    """

    total: float | None
    parts: Mapping[str, Score]
    weights: Mapping[str, float] = field(default_factory=dict)
    failure: str | None = None
    outage: bool = False
    gate_shut: bool = False


class CompositeReward:
    """Runs all signals of a sample at once and sums them.

    Args:
        signals: name → signal; one that is None is left out.
        weights: name → weight, finite, at least 0, summing to 1. A signal without a weight is a monitor.
        gate: name of a signal, such as `format`: while it is below 1 no other signal counts. None: no gate.
        weight_tables: `{"source": {name: weights}, "modality": {tag: weights}}`, other weights for some rows. A table
            of the row's source goes before one of its modality, and that before `weights`.

    Raises:
        ConfigError: with every problem of weights, gate and tables.
    """

    def __init__(
        self,
        *,
        signals: Mapping[str, Reward | None],
        weights: Mapping[str, float],
        gate: str | None = None,
        weight_tables: Mapping[str, Mapping[str, Mapping[str, float]] | None] | None = None,
    ) -> None:
        problems = weight_problems(weights, signals) + gate_problems(gate, signals)
        if problems := problems + table_problems(weight_tables, signals):
            raise ConfigError(problems)
        self.signals = {name: signal for name, signal in signals.items() if signal is not None}
        self._calling = {name: signal for name, signal in self.signals.items() if calls(signal)}
        self._computing = {name: signal for name, signal in self.signals.items() if name not in self._calling}
        self.gate = gate
        self._tables = WeightTables(self.signals, weights, weight_tables)

    @property
    def wants_images(self) -> bool:
        """Whether a signal looks at the images of a sample."""
        return any(getattr(signal, "wants_images", False) for signal in self.signals.values())

    def statistics(self) -> dict[str, float]:
        """`signal/name` → value of everything that signals count about what they call."""
        return {
            f"{name}/{key}": float(value)
            for name, signal in self.signals.items()
            if hasattr(signal, "statistics")
            for key, value in signal.statistics().items()
        }

    async def aclose(self) -> None:
        """Let go of connections and caches of the signals that have any."""
        for signal in self.signals.values():
            for holder in (signal, getattr(signal, "judge", None), getattr(signal, "embedder", None)):
                if close := getattr(holder, "aclose", None):
                    await close()

    async def score(self, sample: Sample) -> RewardBreakdown:
        """Score one rollout; a failing signal that counts masks the sample, any other error is a bug and is raised."""
        said = await gather(sample, self._calling, self._computing, self.signals)
        parts, failures = said.parts, said.failures
        weights = self._tables.of(sample) if self._tables.any else self._tables.default
        shut = self._is_shut(parts)
        counted = {name: failures[name] for name in parts if name in failures and self._counts(name, weights, shut)}
        if counted:
            return RewardBreakdown(
                total=None,
                parts=parts,
                failure="; ".join(f"{name}: {error}" for name, error in counted.items()),
                outage=any(_is_outage(error) for error in counted.values()),
            )
        # Redistribute only the weights of signals that do not apply; failed ones keep theirs.
        left_out = tuple([name for name, part in parts.items() if part.value is None and name not in failures])
        effective = share_out(weights, left_out) if left_out else weights
        if effective is None:
            return RewardBreakdown(total=None, parts=parts, failure="no signal with weight applies to this sample")
        if shut:
            effective = {name: weight if name == self.gate else 0.0 for name, weight in effective.items()}
        total = math.fsum([weight * (parts[name].value or 0.0) for name, weight in effective.items() if weight])
        return RewardBreakdown(total=min(1.0, total), parts=parts, weights=effective, gate_shut=shut)

    def _is_shut(self, parts: Mapping[str, Score]) -> bool:
        value = parts[self.gate].value if self.gate is not None else None
        return value is not None and value < 1.0

    def _counts(self, name: str, weights: Mapping[str, float], shut: bool) -> bool:
        return name == self.gate or (not shut and weights[name] > 0.0)


def _is_outage(error: Failure) -> bool:
    """Whether the next sample would fail as well."""
    return isinstance(error, JudgeUnavailable | RewardError) or (
        isinstance(error, EmbedderError) and not isinstance(error, EmbedderRejected)
    )


class Gathered:
    """What the signals of one sample said.

    Attributes:
        parts: signal → score, in the order of the signals; a signal that failed has none, and says why.
        failures: signal → its error.
    """

    __slots__ = ("failures", "parts")

    def __init__(self, names: Iterable[str]) -> None:
        self.parts: dict[str, Score] = dict.fromkeys(names, _NOT_ASKED)
        self.failures: dict[str, Failure] = {}

    def take(self, name: str, score: Score) -> None:
        """Note a score.

        Raises:
            RewardError: it is not between 0 and 1.
            TypeError: it is no score at all, which is a bug of the signal.
        """
        if not isinstance(score, Score):
            raise TypeError(f"signal {name} returned {score!r}; its score() has to return a Score")
        if score.value is not None and not 0.0 <= score.value <= 1.0:  # NaN is in no interval
            raise RewardError(
                f"signal {name} returned {score.value!r}, which is not between 0 and 1", code="out-of-range"
            )
        self.parts[name] = score

    def fail(self, name: str, error: Failure) -> None:
        """Note a failure."""
        self.parts[name], self.failures[name] = Score(None, f"failed: {error}"), error


def calls(signal: Reward) -> bool:
    """Whether a signal calls something, so that there is a wait while others can compute."""
    return hasattr(signal, "statistics") or inspect.iscoroutinefunction(signal.score)


async def gather(
    sample: Sample, calling: Mapping[str, Reward], computing: Mapping[str, Reward], names: Iterable[str]
) -> Gathered:
    """Ask all signals, which are given by whether they call something.

    Those that do go first and wait together; what only computes does so afterwards, while the calls of other samples
    are on their way.
    """
    said = Gathered(names)
    for signals in (calling, computing):
        if waiting := _start(sample, signals, said):
            await _together(waiting, said)
    return said


def _start(sample: Sample, signals: Mapping[str, Reward], said: Gathered) -> dict[str, Awaitable[Score]]:
    """Ask every signal; what is known at once is noted, what has to be waited for is returned."""
    waiting: dict[str, Awaitable[Score]] = {}
    for name, signal in signals.items():
        try:
            result = signal.score(sample)
            if hasattr(result, "__await__"):
                waiting[name] = result
            else:
                said.take(name, result)
        except _FAILURES as error:
            said.fail(name, error)
    return waiting


async def _together(waiting: Mapping[str, Awaitable[Score]], said: Gathered) -> None:
    """Wait for all at once: coroutines become tasks, except the last, which is awaited inline."""
    here: str | None = None
    elsewhere: dict[str, Started[Any] | asyncio.Future[Score]] = {}
    for name, one in waiting.items():
        if isinstance(one, Started):
            elsewhere[name] = one
            continue
        if here is not None:
            elsewhere[here] = asyncio.ensure_future(waiting[here])
        here = name
    try:
        if here is not None:
            await _note(here, waiting[here], said)
        for name, one in elsewhere.items():
            await _note(name, one, said)
    except BaseException:  # a bug in a signal, or this sample is cancelled: then all of it is
        left = [one.pending if isinstance(one, Started) else one for one in elsewhere.values()]
        for future in left:
            future.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        raise


async def _note(name: str, result: Awaitable[Score], said: Gathered) -> None:
    try:
        said.take(name, await result)
    except _FAILURES as error:
        said.fail(name, error)
