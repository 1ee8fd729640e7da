"""The composite reward: a weighted sum of signals. No other module uses the weights.

overall = 0.5175·llm + 0.3375·embed + 0.10·format + 0.045·modality (arXiv 2602.23363, section 3; the weights are those
of its public configuration). The unweighted parts keep the same names under all weights, so that runs with different
weights can be compared. weights.py validates the weights.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from medix_r1.errors import (
    ConfigError,
    EmbedderError,
    EmbedderRejected,
    JudgeError,
    JudgeUnavailable,
    LeftItsGroup,
    RewardError,
    RewardTimeout,
)
from medix_r1.rewards.base import Detail, LaterReward, PendingScore, Reward, Sample, Score, Seat, clamped
from medix_r1.rewards.groups.whole_group import GroupReward, LaterGroupReward, WholeGroup, needs_group
from medix_r1.rewards.needs import in_order, needs_of, needs_problems
from medix_r1.rewards.weights import (
    WeightTables,
    gate_problems,
    renormalise,
    table_problems,
    veto_problems,
    weight_problems,
)

__all__ = ["CompositeReward", "RewardBreakdown", "weight_problems"]

Failure = JudgeError | EmbedderError | RewardError
_FAILURES = (JudgeError, EmbedderError, RewardError)
_YES = 0.5  # values below it are a NO to `veto`
_NOT_ASKED = Score(None, "not asked yet")


NOTHING_APPLIES = "no signal with weight applies to this sample"


@dataclass(frozen=True, slots=True)
class RewardBreakdown:
    """The reward of one rollout, its parts and its weights.

    Attributes:
        total: the sum of weight · value, in [0, 1]; None for a masked sample.
        parts: signal → unweighted score.
        weights: signal → effective weight, renormalised over the signals that apply. They sum to 1, unless the gate is
            shut: then all but the gate's own are 0. Empty without a total.
        failure: why there is no total.
        outage: a server or the code is at fault, not this sample, so the run has to stop.
        gate_shut: the gate signal is below 1, so no other signal counts.
    """

    total: float | None
    parts: Mapping[str, Score]
    weights: Mapping[str, float] = field(default_factory=dict)
    failure: str | None = None
    outage: bool = False
    gate_shut: bool = False

    @property
    def details(self) -> dict[str, tuple[Detail, ...]]:
        """Signal → what its value was made of; without those that say nothing of it."""
        return {signal: part.details for signal, part in self.parts.items() if part.details}

    @property
    def numbers(self) -> dict[str, float]:
        """`signal/name` → further number that the signal brought."""
        return {
            f"{signal}/{name}": value
            for signal, part in self.parts.items()
            if part.numbers
            for name, value in part.numbers.items()
        }


class CompositeReward:
    """Runs all signals of a sample concurrently and adds up their weighted values.

    Args:
        signals: name → signal; signals that are None are left out.
        weights: name → weight, finite, at least 0, summing to 1. A signal without a weight is a monitor.
        gate: name of a signal, such as `format`; while its value is below 1 no other signal counts. None: no gate.
        weight_tables: `{"source": {name: weights}, "modality": {tag: weights}}`, other weights for some rows. The table
            of a row's source takes precedence over that of its modality, and both over `weights`.

    Raises:
        ConfigError: all problems of weights, gate and tables.
    """

    def __init__(
        self,
        *,
        signals: Mapping[str, Reward | LaterReward | GroupReward | LaterGroupReward | None],
        weights: Mapping[str, float],
        gate: str | None = None,
        weight_tables: Mapping[str, Mapping[str, Mapping[str, float]] | None] | None = None,
    ) -> None:
        problems = weight_problems(weights, signals) + gate_problems(gate, signals)
        problems += table_problems(weight_tables, signals)
        if problems := problems + veto_problems(signals) + needs_problems(signals):
            raise ConfigError(problems)
        self.signals = {name: signal for name, signal in signals.items() if signal is not None}
        self._groups = {name: WholeGroup(name, one) for name, one in self.signals.items() if needs_group(one)}
        after, every = in_order(self.signals), {**self.signals, **self._groups}
        self._after: dict[str, Any] = {name: every[name] for name in after}
        first: dict[str, Any] = {name: one for name, one in every.items() if name not in self._after}
        self._calling = {name: signal for name, signal in first.items() if makes_calls(signal)}
        self._computing = {name: signal for name, signal in first.items() if name not in self._calling}
        self.gate = gate
        self._vetoes = {name: veto for name, signal in self.signals.items() if (veto := getattr(signal, "veto", None))}
        self._tables = WeightTables(self.signals, weights, weight_tables)

    @property
    def wants_images(self) -> bool:
        """Whether a signal reads the images of a sample."""
        return any(getattr(signal, "wants_images", False) for signal in self.signals.values())

    @property
    def group_signals(self) -> tuple[str, ...]:
        """Names of the signals that score whole groups: samples with a `seat` wait for the others of their group."""
        return tuple(self._groups)

    def leave(self, seat: Seat) -> None:
        """Say that a rollout will not come or not stay, so that no group waits for it; free after its score."""
        for group in self._groups.values():
            group.leave(seat)

    def statistics(self) -> dict[str, float]:
        """`signal/name` → value: the statistics of all signals."""
        return {
            f"{name}/{key}": float(value)
            for name, signal in (*self.signals.items(), *self._groups.items())
            if hasattr(signal, "statistics")
            for key, value in signal.statistics().items()
        }

    async def aclose(self) -> None:
        """Close the connections and caches of the signals."""
        for signal in self.signals.values():
            for holder in (signal, getattr(signal, "judge", None), getattr(signal, "embedder", None)):
                if close := getattr(holder, "aclose", None):
                    await close()

    async def score(self, sample: Sample) -> RewardBreakdown:
        """Score one rollout. A failed signal that has weight masks the sample; all other errors are bugs and raised."""
        try:
            return await self._score(sample)
        except BaseException:
            if sample.seat is not None:
                self.leave(sample.seat)
            raise

    async def _score(self, sample: Sample) -> RewardBreakdown:
        results = await score_signals(sample, self._calling, self._computing, self.signals)
        for name, signal in self._after.items():
            await _score_after(name, signal, sample, results)
        for name, veto in self._vetoes.items():
            results.apply_veto(name, veto)
        parts, failures = results.parts, results.failures
        weights = self._tables.of(sample) if self._tables.any else self._tables.default
        shut = self._is_shut(parts)
        counted = {name: failures[name] for name in parts if name in failures and self._counts(name, weights, shut)}
        if counted:
            return RewardBreakdown(
                total=None,
                parts=parts,
                failure="; ".join(f"{name}: {error}" for name, error in counted.items()),
                outage=any(_affects_every_sample(error) for error in counted.values()),
            )
        # Redistribute only the weights of not-applicable signals; failed ones keep theirs.
        left_out = tuple([name for name, part in parts.items() if part.value is None and name not in failures])
        effective = renormalise(weights, left_out) if left_out else weights
        if effective is None:
            return RewardBreakdown(total=None, parts=parts, failure=NOTHING_APPLIES)
        if shut:
            effective = {name: weight if name == self.gate else 0.0 for name, weight in effective.items()}
        total = math.fsum([weight * (parts[name].value or 0.0) for name, weight in effective.items() if weight])
        return RewardBreakdown(total=min(1.0, total), parts=parts, weights=effective, gate_shut=shut)

    def _is_shut(self, parts: Mapping[str, Score]) -> bool:
        value = parts[self.gate].value if self.gate is not None else None
        return value is not None and value < 1.0

    def _counts(self, name: str, weights: Mapping[str, float], shut: bool) -> bool:
        return name == self.gate or (not shut and weights[name] > 0.0)


def _affects_every_sample(error: Failure) -> bool:
    return isinstance(error, JudgeUnavailable | RewardError | EmbedderError) and not isinstance(
        error, EmbedderRejected | RewardTimeout | LeftItsGroup
    )


class SignalResults:
    """The scores and failures of one sample's signals.

    Attributes:
        parts: signal → score, in the order of the signals; that of a failed signal has the value None.
        failures: signal → its error.
    """

    __slots__ = ("failures", "parts")

    def __init__(self, names: Iterable[str]) -> None:
        self.parts: dict[str, Score] = dict.fromkeys(names, _NOT_ASKED)
        self.failures: dict[str, Failure] = {}

    def add(self, name: str, score: Score) -> None:
        """Record a score.

        Raises:
            RewardError: the value is outside [0, 1] by more than rounding.
            TypeError: `score` is no `Score`, which is a bug of the signal.
        """
        if not isinstance(score, Score):
            raise TypeError(f"signal {name} returned {score!r}; its score() has to return a Score")
        if score.value is not None and not 0.0 <= score.value <= 1.0:  # also true of NaN
            if (value := clamped(score.value)) is None:
                raise RewardError(
                    f"signal {name} returned {score.value!r}, which is not between 0 and 1", code="out-of-range"
                )
            score = replace(score, value=value)
        self.parts[name] = score

    def apply_veto(self, name: str, veto: str) -> None:
        """Score a signal 0 where another one says NO; where that one failed, this one has failed too."""
        if name in self.failures:
            return
        said, part = self.parts[veto], self.parts[name]
        if veto in self.failures:
            self.add_failure(name, self.failures[veto])
        elif said.value is not None and part.value and said.value < _YES:
            self.parts[name] = replace(part, value=0.0, reason=f"{part.reason}; {veto} says NO")

    def add_failure(self, name: str, error: Failure) -> None:
        """Record a failure."""
        details = getattr(error, "details", ())
        self.parts[name], self.failures[name] = Score(None, f"failed: {error}", details=details), error


def makes_calls(signal: Reward) -> bool:
    """Whether a signal waits for a model or a server."""
    says = hasattr(signal, "statistics") or getattr(signal, "makes_calls", False)
    return says or inspect.iscoroutinefunction(signal.score)


async def score_signals(
    sample: Sample, calling: Mapping[str, Reward], computing: Mapping[str, Reward], names: Iterable[str]
) -> SignalResults:
    """Score a sample with all signals.

    The signals that make calls go first and wait together. The others compute afterwards, while the calls of other
    samples are in flight.

    Args:
        sample: the rollout.
        calling: name → signal that makes calls.
        computing: name → signal that only computes.
        names: all names, in the order of the result.
    """
    results = SignalResults(names)
    for signals in (calling, computing):
        if waiting := _start(sample, signals, results):
            await _wait_for_all(waiting, results)
    return results


async def _score_after(name: str, signal: Any, sample: Sample, results: SignalResults) -> None:
    """Score with a signal that reads others; it fails with the first of them that failed."""
    needs = needs_of(signal)
    reads_failed = getattr(signal, "reads_failed", False)
    lost = [one for one in needs if one in results.failures and not (reads_failed and results.parts[one].details)]
    if failed := next((results.failures[one] for one in lost), None):
        results.add_failure(name, failed)
        if isinstance(signal, WholeGroup) and sample.seat is not None:
            signal.leave(sample.seat)  # the others of its group are scored without it
        return
    try:
        result = signal.score(sample, {one: results.parts[one] for one in needs})
        results.add(name, await result if hasattr(result, "__await__") else result)
    except _FAILURES as error:
        results.add_failure(name, error)


def _start(sample: Sample, signals: Mapping[str, Reward], results: SignalResults) -> dict[str, Awaitable[Score]]:
    """Call every signal; record the scores that come at once and return the awaitables."""
    waiting: dict[str, Awaitable[Score]] = {}
    for name, signal in signals.items():
        try:
            result = signal.score(sample)
            if hasattr(result, "__await__"):
                waiting[name] = result
            else:
                results.add(name, result)
        except _FAILURES as error:
            results.add_failure(name, error)
    return waiting


async def _wait_for_all(waiting: Mapping[str, Awaitable[Score]], results: SignalResults) -> None:
    """Await all scores concurrently. Coroutines become tasks, except the last, which is awaited inline."""
    inline: str | None = None
    in_flight: dict[str, PendingScore[Any] | asyncio.Future[Score]] = {}
    for name, one in waiting.items():
        if isinstance(one, PendingScore):
            in_flight[name] = one
            continue
        if inline is not None:
            in_flight[inline] = asyncio.ensure_future(waiting[inline])
        inline = name
    try:
        if inline is not None:
            await _record(inline, waiting[inline], results)
        for name, one in in_flight.items():
            await _record(name, one, results)
    except BaseException:  # a bug in a signal, or this sample was cancelled: cancel the other signals
        futures = [one.pending if isinstance(one, PendingScore) else one for one in in_flight.values()]
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        raise


async def _record(name: str, result: Awaitable[Score], results: SignalResults) -> None:
    try:
        results.add(name, await result)
    except _FAILURES as error:
        results.add_failure(name, error)
