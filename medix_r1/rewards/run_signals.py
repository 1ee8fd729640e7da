"""All signals of one sample at once: what each of them says, or why it says nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from medix_r1.errors import EmbedderError, JudgeError, RewardError
from medix_r1.rewards.base import Reward, Sample, Score, Started

Failure = JudgeError | EmbedderError | RewardError
_FAILURES = (JudgeError, EmbedderError, RewardError)
_NOT_ASKED = Score(None, "not asked yet")


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
            raise RewardError(f"signal {name} returned {score.value!r}, which is not between 0 and 1")
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
    """Wait for all at once; what has not started yet runs in a task, the last of it right here."""
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
