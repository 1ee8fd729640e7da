"""Replies of many rollouts in one call: what a call takes, whose a failure is, and functions that compare replies."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from medix_r1.errors import RewardError, RewardTimeout
from medix_r1.rewards.adapters import TrlReward, micro_batches
from medix_r1.rewards.adapters.micro_batches import MicroBatches
from medix_r1.rewards.base import Score
from tests.support.problems import coded
from tests.unit.rewards import foreign
from tests.unit.rewards.cases import sample


@pytest.fixture(autouse=True)
def _no_call_is_slow(monkeypatch):
    """How long a list may get depends on the time that a call takes, which on a busy machine is any."""
    monkeypatch.setattr(micro_batches, "_SECONDS", 1e6)


class Function:
    """A number is its own score / 100; records the lists. A call waits until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.lists: list[list[int]] = []
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self, items):
        self.lists.append(list(items))
        await self.go.wait()
        await asyncio.sleep(0)
        return [self.one(item) for item in items]

    def one(self, item):
        return Score(item / 100, "own")


def batches(function, *, workers: int = 1, most: int | None = None) -> MicroBatches[int]:
    return MicroBatches(function, name="mine", workers=workers, most=most)


async def scored(collected: MicroBatches[int], count: int, start: int = 0):
    return await asyncio.gather(*(collected.score(n) for n in range(start, start + count)), return_exceptions=True)


def values(found):
    return [one.value for one in found]


async def test_each_reply_gets_its_own_score_in_few_calls():
    function = Function()
    collected = batches(function)

    found = await scored(collected, 50)

    assert values(found) == [n / 100 for n in range(50)]
    assert [len(one) for one in function.lists if len(one) != 1 or one == [0]] == [1, 49]  # and four asked alone
    assert (collected.calls, collected.replies) == (2, 50)


async def test_what_comes_while_a_call_runs_is_taken_by_the_next_one():
    function = Function(held=True)
    collected = batches(function)
    first = asyncio.create_task(scored(collected, 1))
    await asyncio.sleep(0.001)
    others = [asyncio.create_task(scored(collected, 5, start=n)) for n in (10, 20, 30)]
    await asyncio.sleep(0.001)
    assert function.lists == [[0]]

    function.go.set()
    await asyncio.gather(first, *others)

    assert sorted(next(one for one in function.lists if len(one) > 1)) == [
        *range(10, 15),
        *range(20, 25),
        *range(30, 35),
    ]


async def test_no_list_is_longer_than_asked_for_and_idle_workers_share():
    few, shared = Function(), Function()

    await scored(batches(few, most=3), 20)
    collected = batches(shared, workers=4)
    await scored(collected, 8)
    await scored(collected, 8)

    assert max(map(len, few.lists)) == 3
    assert max(map(len, shared.lists)) == 2


async def test_a_slow_function_gets_lists_that_take_about_a_second(monkeypatch):
    monkeypatch.setattr(micro_batches, "_SECONDS", 1.0)
    function, now = Function(), 0.0
    collected = batches(function)
    loop = asyncio.get_running_loop()

    async def slow(items):
        nonlocal now
        now += 0.1 * len(items)
        return await function(items)

    collected._call = slow
    monkeypatch.setattr(loop, "time", lambda: now)
    await scored(collected, 60)

    assert max(map(len, function.lists)) == 10


class Failing(Function):
    def __init__(self, error: RewardError) -> None:
        super().__init__()
        self.error = error

    async def __call__(self, items):
        if 7 in items:
            self.lists.append(list(items))
            raise self.error
        return await super().__call__(items)


@pytest.mark.parametrize("error", [RewardTimeout("slow", code="timeout"), RewardError("no", code="raised")])
async def test_a_failed_call_fails_only_the_reply_that_fails_alone(error):
    function = Failing(error)

    found = await scored(batches(function), 20)

    assert [n for n, one in enumerate(found) if one is error] == [7]
    assert values([one for n, one in enumerate(found) if n != 7]) == [n / 100 for n in range(20) if n != 7]


async def test_a_wrong_value_is_an_error_of_its_reply_alone():
    class Odd(Function):
        def one(self, item):
            return RewardError("no number") if item == 2 else super().one(item)

    found = await scored(batches(Odd()), 5)

    assert [type(one) for one in found] == [Score, Score, RewardError, Score, Score]


async def test_a_bug_reaches_every_reply_of_its_call():
    async def bug(items):
        raise ZeroDivisionError

    assert {type(one) for one in await scored(batches(bug), 3)} == {ZeroDivisionError}


async def test_a_function_that_compares_its_replies_without_saying_so_is_found_at_its_first_list():
    class Compares(Function):
        async def __call__(self, items):
            await super().__call__(items)
            return [Score(float(item == max(items)), "best") for item in items]

    found = await scored(batches(Compares()), 9)

    assert found[0].value == 1.0  # alone
    assert all(isinstance(one, RewardError) and one.code == "depends-on-others" for one in found[1:])


async def test_a_function_that_varies_by_itself_is_let_be():
    class Varies(Function):
        calls = 0

        async def __call__(self, items):
            self.calls += 1
            return [Score(1 / self.calls, "later") for _ in items]

    assert all(isinstance(one, Score) for one in await scored(batches(Varies()), 9))


async def test_a_call_ends_when_nobody_wants_its_scores_and_goes_on_when_one_does():
    function = Function(held=True)
    collected = batches(function)
    tasks = [collected.score(n) for n in range(4)]
    await asyncio.sleep(0.001)

    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.sleep(0.001)
    assert [1] not in function.lists

    function.go.set()
    assert values(await asyncio.gather(*tasks[2:])) == [0.02, 0.03]
    assert not collected._running


async def test_closing_ends_what_waits():
    collected = batches(Function(held=True))
    task = collected.score(1)
    await asyncio.sleep(0.001)

    collected.close()

    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    assert task.cancelled()


async def test_a_function_of_lists_is_called_with_the_replies_of_many_prompts():
    foreign.SEEN.clear()
    signal = TrlReward(function="tests.unit.rewards.foreign:trl", timeout=None)
    cases = [sample("left" if n % 2 else "right", "left", question=str(n)) for n in range(40)]

    found = await asyncio.gather(*(signal.score(case) for case in cases))

    assert values(found) == [float(n % 2) for n in range(40)]
    assert [len(completions) for completions, _, _ in foreign.SEEN] == [1, 39, 1, 1, 1, 1]
    assert foreign.SEEN[1][2]["prompts"] == [str(n) for n in range(1, 40)]


async def test_max_batch_1_is_lists_of_one():
    foreign.SEEN.clear()
    signal = TrlReward(function="tests.unit.rewards.foreign:trl_best", timeout=None, max_batch=1)

    found = await asyncio.gather(*(signal.score(sample("x" * n, "y")) for n in range(1, 6)))

    assert values(found) == [1.0] * 5
    assert [len(one) for one in foreign.SEEN] == [1] * 5


async def test_the_error_of_a_comparing_function_says_what_to_set():
    signal = TrlReward(function="tests.unit.rewards.foreign:trl_best", timeout=None)

    found = await asyncio.gather(*(signal.score(sample("x" * n, "y")) for n in range(1, 6)), return_exceptions=True)

    assert isinstance(found[-1], RewardError | Score)
    with pytest.raises(RewardError, check=coded("depends-on-others", "group: true", "max_batch: 1")):
        raise next(one for one in found if isinstance(one, RewardError))
