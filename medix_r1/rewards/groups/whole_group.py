"""Lets the rollouts of a prompt wait for each other, then asks a group signal once for all of them.

Each rollout is scored as soon as it is finished (composite.py), so a group signal sees its group when the last rollout
arrives. A rollout that will not come has to say so (`leave`), or the others would wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cachetools import LRUCache

from medix_r1 import user_code
from medix_r1.errors import ConfigError, LeftItsGroup, RewardError
from medix_r1.rewards.base import Sample, Score, Seat
from medix_r1.rewards.needs import needs_of

SMALLEST = 2  # rollouts, by default: a single one has nothing to be compared with
_REMEMBERED = 20_000  # groups that are done, so that a rollout which reports its end afterwards opens none

Scores = Mapping[str, Score]


class GroupReward(Protocol):
    """A signal that scores all rollouts of a prompt at once, in place of `Reward`.

    It may have `smallest_group` (rollouts, default 2): of a smaller group, such as a validation reply, it is not asked
    and does not apply. It may have what a `Reward` may have besides.
    """

    needs_group: bool  # True

    def score_group(self, samples: Sequence[Sample]) -> Sequence[Score] | Awaitable[Sequence[Score]]:
        """Score a group, a score for each sample in the same order.

        Raises:
            JudgeError, EmbedderError, RewardError: there is no score for the group. If the signal has weight, all its
                samples are masked.
        """
        ...


class LaterGroupReward(Protocol):
    """A group signal that reads the scores of others, as `LaterReward` does."""

    needs_group: bool
    needs: tuple[str, ...]

    def score_group(
        self, samples: Sequence[Sample], scores: Sequence[Scores]
    ) -> Sequence[Score] | Awaitable[Sequence[Score]]:
        """Score a group, as `GroupReward.score_group`; `scores` has those of the signals in `needs`, by sample."""
        ...


def needs_group(signal: object) -> bool:
    """Whether a signal, built or as settings, scores whole groups."""
    if not isinstance(signal, Mapping):
        return bool(getattr(signal, "needs_group", False))
    try:
        made = user_code.load(signal.get("_target_"), "_target_")
        by_settings = getattr(made, "needs_group_by", None)  # of an adapter, whose function decides
        return bool(by_settings(signal) if by_settings else getattr(made, "needs_group", False))
    except ConfigError:
        return False  # reported when the config was composed


def smallest_group(signal: object) -> int:
    """The fewest rollouts that a group signal, built or as settings, is asked about."""
    if isinstance(signal, Mapping):
        if "smallest_group" in signal:
            return int(signal["smallest_group"])
        signal = user_code.load(signal.get("_target_"), "_target_")
    return int(getattr(signal, "smallest_group", SMALLEST))


@dataclass(slots=True)
class _Group:
    """A group that is not complete yet."""

    size: int
    scores: asyncio.Future[dict[int, Score]]  # by seat
    members: dict[int, tuple[Sample, Scores]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        return len(self.members) + len(self.gone) >= self.size


class WholeGroup:
    """A group signal as one of single rollouts, each of which waits until its group is complete.

    Args:
        name: of the signal, for messages.
        signal: the group signal.
    """

    def __init__(self, name: str, signal: Any) -> None:
        self.name, self._signal, self.needs = name, signal, needs_of(signal)
        self._smallest = smallest_group(signal)
        self._open: dict[str, _Group] = {}
        self._done: LRUCache[str, bool] = LRUCache(_REMEMBERED)
        self._asking: set[asyncio.Task[None]] = set()
        self.groups = self.lost = 0

    async def score(self, sample: Sample, scores: Scores | None = None) -> Score:
        """Wait for the group of a rollout, and return the score of this one; without a seat it is a group of its own.

        Raises:
            LeftItsGroup: the group was scored without this rollout.
        """
        seat = sample.seat
        if seat is None or seat.size == 1:
            return (await self._ask([(sample, scores or {})]))[0]
        if seat.group in self._done:
            raise self._left(seat)
        group = self._group(seat)
        if seat.index in group.members:
            raise RewardError(f"group {seat.group} has two rollouts with the number {seat.index}", code="seat-taken")
        group.gone.discard(seat.index)
        group.members[seat.index] = sample, scores or {}
        self._ask_if_complete(seat.group, group)
        try:
            found = await asyncio.shield(group.scores)
        except asyncio.CancelledError:
            self.leave(seat)
            raise
        if seat.index not in found:
            raise self._left(seat)
        return found[seat.index]

    def leave(self, seat: Seat) -> None:
        """Say that a rollout will not come, or not stay: it failed or was given up. After its group's score it is free.

        The others are scored without it.
        """
        if seat.size == 1 or seat.group in self._done:
            return
        group = self._group(seat)
        group.members.pop(seat.index, None)
        group.gone.add(seat.index)
        self._ask_if_complete(seat.group, group)

    def statistics(self) -> dict[str, float]:
        """Groups that were scored, and rollouts that these lacked."""
        return {"groups": float(self.groups), "lost_rollouts": float(self.lost)}

    def _group(self, seat: Seat) -> _Group:
        if seat.group not in self._open:
            future: asyncio.Future[dict[int, Score]] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_retrieved)
            self._open[seat.group] = _Group(seat.size, future)
        return self._open[seat.group]

    def _left(self, seat: Seat) -> LeftItsGroup:
        return LeftItsGroup(f"{self.name}: group {seat.group} was scored without this rollout", code="left-its-group")

    def _ask_if_complete(self, name: str, group: _Group) -> None:
        if not group.is_complete:
            return
        del self._open[name]
        self._done[name] = True
        self.lost += len(group.gone)
        if not group.members:
            group.scores.set_result({})
            return
        task = asyncio.create_task(self._score_all(group))
        self._asking.add(task)  # the loop itself keeps no reference
        task.add_done_callback(self._asking.discard)

    async def _score_all(self, group: _Group) -> None:
        seats = sorted(group.members)  # rollouts arrive in any order; this one is the same in every run
        try:
            scores = await self._ask([group.members[seat] for seat in seats])
        except Exception as error:  # noqa: BLE001  each rollout that waits raises it again
            if not group.scores.done():
                group.scores.set_exception(error)
        except BaseException:
            group.scores.cancel()
            raise
        else:
            group.scores.set_result(dict(zip(seats, scores, strict=True)))

    async def _ask(self, members: Sequence[tuple[Sample, Scores]]) -> Sequence[Score]:
        if len(members) < self._smallest:
            return [Score(None, f"a group of {len(members)}, at least {self._smallest} are compared")] * len(members)
        samples = [sample for sample, _ in members]
        others = ([scores for _, scores in members],) if self.needs else ()
        self.groups += 1
        result = self._signal.score_group(samples, *others)
        scores = await result if hasattr(result, "__await__") else result
        if not isinstance(scores, Sequence) or len(scores) != len(samples):
            said = f"{len(scores)} scores" if isinstance(scores, Sequence) else type(scores).__name__
            raise RewardError(
                f"signal {self.name} returned {said} for a group of {len(samples)}", code="not-one-score-each"
            )
        return scores


def _retrieved(future: asyncio.Future[Any]) -> None:
    """Mark an error as seen, or asyncio logs it when no rollout waits any more."""
    if not future.cancelled():
        future.exception()
