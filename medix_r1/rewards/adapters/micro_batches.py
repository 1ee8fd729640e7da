"""Collects replies of many rollouts into one call of a function that takes lists, without waiting for any.

A reply that arrives while all workers are busy waits for the next call, which takes all that have come by then. So an
idle function is called at once, and a busy one with many replies, which pays its fixed cost once.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from medix_r1.errors import RewardError
from medix_r1.rewards.base import Score

Item = TypeVar("Item")
Outcome = Score | RewardError
_SECONDS = 1.0  # longest that one call should take, because each of its replies waits for all of it
_GROWTH = 64.0  # factor by which the next call may be longer than this one
_ASKED_ALONE = 2  # replies of the first list that are scored again alone, to see whether the scores differ


class _Reply(asyncio.Future[Score], Generic[Item]):
    """The score of one reply, and the replies that its call takes, once it has started.

    It is the future itself that its rollout waits for, without a coroutine or a task in between: thousands of them come
    at once, and a call that costs nothing a reply would be quicker than they.
    """

    item: Item
    taken: _Taken | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel, and end the call if nobody else wants its scores."""
        is_first = super().cancel(msg)
        if is_first and self.taken is not None:
            self.taken.leave()
        return is_first


class _Taken:
    """A call in flight; it ends when nobody wants its scores any more, and its process with it."""

    __slots__ = ("task", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """One reply is wanted no more."""
        self.wanted -= 1
        if not self.wanted and self.task is not None:
            self.task.cancel()


class MicroBatches(Generic[Item]):
    """Asks a function about many replies at once.

    How many it takes grows from 1, as long as a call takes less than a second. After a call that fails, its replies are
    asked one by one, so that the failure is its reply's alone.

    Args:
        call: scores a list of replies; gives a score or an error for each.
        name: of the function, for messages.
        workers: calls at one time.
        most: the most replies of a call; None for no limit.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]],
        *,
        name: str,
        workers: int,
        most: int | None,
    ) -> None:
        self._call, self._name, self._free = call, name, workers
        self._most = math.inf if most is None else float(most)
        self._size = 1.0
        self._waiting: deque[_Reply[Item]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._compared = self._starting = False
        self.calls = self.replies = 0

    def score(self, item: Item) -> asyncio.Future[Score]:
        """The score to come of one reply, beside others that come meanwhile; its `RewardError` is the function's."""
        reply: _Reply[Item] = _Reply(loop=asyncio.get_running_loop())
        reply.item = item
        self._waiting.append(reply)
        self._start_soon()
        return reply

    def close(self) -> None:
        """Cancel the calls in flight."""
        for task in self._running:
            task.cancel()

    def _start_soon(self) -> None:
        """Start calls when all that is ready to run now has come."""
        if not self._starting and self._free:
            self._starting = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._starting = False
        self._waiting = deque([one for one in self._waiting if not one.done()])  # without replies that were cancelled
        while self._free and self._waiting:
            share = math.ceil(len(self._waiting) / self._free)
            replies = [self._waiting.popleft() for _ in range(int(min(share, self._size, self._most)))]
            taken = _Taken(len(replies))
            for reply in replies:
                reply.taken = taken
            self._free -= 1
            taken.task = asyncio.create_task(self._run(replies))
            self._running.add(taken.task)
            taken.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free += 1
        if self._waiting:
            self._start_soon()

    async def _run(self, replies: Sequence[_Reply[Item]]) -> None:
        try:
            for reply, outcome in zip(replies, await self._outcomes([one.item for one in replies]), strict=True):
                _settle(reply, outcome)
        except Exception as error:  # noqa: BLE001  a bug of the adapter; each reply that waits raises it
            for reply in replies:
                _settle(reply, error)
        except asyncio.CancelledError:
            for reply in replies:
                reply.taken = None  # its call has ended
                reply.cancel()
            raise

    async def _outcomes(self, items: Sequence[Item]) -> Sequence[Outcome]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            outcomes = await self._call(items)
        except RewardError as error:
            self.calls += 1
            if len(items) == 1:
                return [error]
            self._size = 1.0
            return [(await self._outcomes([item]))[0] for item in items]
        self.calls, self.replies = self.calls + 1, self.replies + len(items)
        seconds = max(loop.time() - started, 1e-6)
        fitting = max(1.0, min(len(items) * _SECONDS / seconds, len(items) * _GROWTH))
        self._size = fitting if seconds > _SECONDS else max(self._size, fitting)
        if len(items) > 1 and not self._compared:
            self._compared = True
            await self._compare(items, outcomes)
        return outcomes

    async def _compare(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> None:
        """Ask about a few replies of the first list alone: a function that compares the replies must say so.

        Raises:
            RewardError: a reply's score alone is another, twice the same one.
        """
        for item, beside in list(zip(items, outcomes, strict=True))[-_ASKED_ALONE:]:
            try:
                alone, again = [(await self._call([item]))[0] for _ in range(2)]
            except RewardError:
                return  # nothing to compare with
            values = [one.value if isinstance(one, Score) else None for one in (alone, again, beside)]
            if values[0] == values[1] != values[2]:
                raise RewardError(
                    f"{self._name} gives a reply {values[2]} beside {len(items) - 1} others and {values[0]} alone; "
                    "if it compares the replies of a group, set group: true, else max_batch: 1",
                    code="depends-on-others",
                )


def _settle(future: asyncio.Future[Score], outcome: Score | Exception) -> None:
    if future.done():
        return  # the reply was cancelled
    if isinstance(outcome, Score):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
