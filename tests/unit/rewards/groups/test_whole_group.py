"""Rollouts of a group wait for each other: in any order, without those that are lost, and never for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from medix_r1.errors import JudgeRejected, JudgeUnavailable
from medix_r1.rewards.base import Sample, Score, Seat
from medix_r1.rewards.composite import CompositeReward
from tests.unit.rewards.cases import sample

N = 4


class Ranks:
    """Scores a reply by the number of shorter ones in its group; records the groups that it was asked about."""

    needs_group = True

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.fails = fails

    async def score_group(self, samples, scores=()):
        self.asked.append([one.completion.text for one in samples])
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        lengths = [len(one.completion.text) for one in samples]
        return [Score(sum(other < own for other in lengths) / (len(lengths) - 1), "rank") for own in lengths]


class Answered:
    """1 for a reply with an answer; fails, or is slow, for the texts that it is told."""

    def __init__(self, fails: str = "", slow: str = "") -> None:
        self.fails, self.slow = fails, slow

    async def score(self, one):
        if one.completion.answer == self.slow:
            await asyncio.sleep(0.01)
        if one.completion.answer == self.fails:
            raise JudgeRejected("refused")
        return Score(float(one.completion.answer is not None), "answered")


def member(index: int, answer: str | None = None, group: str = "g", size: int = N) -> Sample:
    made = sample(f"<think>t</think><answer>{answer or 'x' * (index + 1)}</answer>", "b", has_image=False)
    return replace(made, seat=Seat(group, index, size))


def composite(signal: Any, answered: Answered | None = None) -> CompositeReward:
    return CompositeReward(signals={"rank": signal, "ok": answered or Answered()}, weights={"rank": 0.5, "ok": 0.5})


def ranks(breakdowns):
    return [found.parts["rank"].value for found in breakdowns]


@pytest.mark.parametrize("order", [range(N), reversed(range(N)), (2, 0, 3, 1)])
async def test_one_call_scores_a_group_in_the_order_of_its_rollouts_whoever_comes_first(order):
    signal = Ranks()
    reward = composite(signal)
    tasks = {}
    for index in order:
        tasks[index] = asyncio.create_task(reward.score(member(index)))
        await asyncio.sleep(0.001)

    found = [await tasks[index] for index in range(N)]

    assert ranks(found) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [one.total for one in found] == pytest.approx([0.5, 2 / 3, 5 / 6, 1])
    assert signal.asked == [[member(index).completion.text for index in range(N)]]
    assert reward.statistics() == {"rank/groups": 1, "rank/lost_rollouts": 0}


async def test_groups_that_are_mixed_are_scored_apart():
    signal = Ranks()
    reward = composite(signal)

    found = await asyncio.gather(*(reward.score(member(i, group=g)) for i in range(N) for g in "abc"))

    assert len(signal.asked) == 3
    assert ranks(found)[::3] == ranks(found)[1::3] == ranks(found)[2::3] == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_others_are_scored_without_a_rollout_that_is_lost(when):
    signal = Ranks()
    reward = composite(signal)
    if when == "before":
        reward.leave(Seat("g", 1, N))
    tasks = [asyncio.create_task(reward.score(member(index))) for index in (0, 2, 3)]
    await asyncio.sleep(0.01)
    if when == "after":
        assert not any(task.done() for task in tasks)
        reward.leave(Seat("g", 1, N))

    found = await asyncio.wait_for(asyncio.gather(*tasks), 1)

    assert ranks(found) == [0, 0.5, 1]
    assert reward.statistics()["rank/lost_rollouts"] == 1


async def test_a_rollout_that_is_cancelled_while_it_waits_is_lost():
    reward = composite(Ranks())
    tasks = [asyncio.create_task(reward.score(member(index))) for index in range(N - 1)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)

    last = await asyncio.wait_for(reward.score(member(N - 1)), 1)

    assert last.parts["rank"].value == 1
    assert ranks([await tasks[0], await tasks[2]]) == [0, 0.5]


async def test_a_rollout_that_reports_its_end_after_its_score_opens_no_group():
    reward = composite(Ranks())
    await asyncio.gather(*(reward.score(member(index)) for index in range(N)))

    for index in range(N):
        reward.leave(Seat("g", index, N))

    assert reward.statistics() == {"rank/groups": 1, "rank/lost_rollouts": 0}
    assert not reward._groups["rank"]._open


async def test_one_that_comes_after_its_group_was_scored_is_masked_and_no_outage():
    reward = composite(Ranks())
    reward.leave(Seat("g", 0, N))
    await asyncio.gather(*(reward.score(member(index)) for index in range(1, N)))

    late = await reward.score(member(0))

    assert (late.total, late.outage) == (None, False)
    assert "without this rollout" in (late.failure or "")


@pytest.mark.parametrize(("error", "outage"), [(JudgeRejected("unreadable"), False), (JudgeUnavailable("gone"), True)])
async def test_a_group_that_cannot_be_scored_masks_all_its_rollouts(error, outage):
    reward = composite(Ranks(error))

    found = await asyncio.gather(*(reward.score(member(index)) for index in range(N)))

    assert {(one.total, one.outage) for one in found} == {(None, outage)}


@pytest.mark.parametrize("scores", [[Score(1.0, "one")], None])
async def test_another_number_of_scores_than_rollouts_is_a_fault_of_the_signal(scores):
    class Wrong:
        needs_group = True

        def score_group(self, samples):
            return scores

    reward = composite(Wrong())
    found = await asyncio.gather(*(reward.score(member(index)) for index in range(N)))

    assert all(one.outage for one in found)


@pytest.mark.parametrize("seat", [None, Seat("v", 0, 1)])
async def test_a_group_of_one_does_not_apply_and_leaves_its_weight_to_the_others(seat):
    signal = Ranks()

    found = await composite(signal).score(replace(member(0), seat=seat))

    assert (found.parts["rank"].value, found.total, signal.asked) == (None, 1.0, [])


async def test_a_signal_may_take_a_group_of_one():
    class Alone:
        needs_group = True
        smallest_group = 1

        def score_group(self, samples):
            return [Score(0.25, "alone")] * len(samples)

    assert (await composite(Alone()).score(replace(member(0), seat=None))).total == pytest.approx(0.625)


class AfterOk(Ranks):
    """Reads the scores of `ok`."""

    needs = ("ok",)

    async def score_group(self, samples, scores=()):
        assert [one["ok"].value for one in scores] == [1.0] * len(samples)
        return await super().score_group(samples)


async def test_a_group_signal_that_reads_others_waits_for_them_and_goes_on_without_those_that_failed():
    signal = AfterOk()
    reward = composite(signal, Answered(fails="xx", slow="xxx"))

    found = await asyncio.wait_for(asyncio.gather(*(reward.score(member(index)) for index in range(N))), 1)

    assert [one.total for one in found] == [0.5, None, 0.75, 1.0]
    assert len(signal.asked[0]) == N - 1


async def test_a_bug_in_another_signal_frees_the_group():
    class Bug:
        needs = ("ok",)

        def score(self, one, scores):
            if one.seat.index == 0:
                raise ZeroDivisionError
            return Score(1.0, "fine")

    class Last(Ranks):
        needs = ("bug",)

    signals: dict[str, Any] = {"ok": Answered(), "bug": Bug(), "rank": Last()}
    reward = CompositeReward(signals=signals, weights={"rank": 1.0})
    tasks = [asyncio.create_task(reward.score(member(index))) for index in range(N)]

    with pytest.raises(ZeroDivisionError):
        await tasks[0]
    assert ranks([await asyncio.wait_for(task, 1) for task in tasks[1:]]) == [0, 0.5, 1]


async def test_two_rollouts_on_one_seat_are_a_fault():
    reward = composite(Ranks())
    first = asyncio.create_task(reward.score(member(0)))
    await asyncio.sleep(0)

    assert (await reward.score(member(0))).outage
    first.cancel()


async def test_a_group_waits_over_updates_and_other_groups_do_not_wait_for_it():
    """A partial rollout goes on after an update: whole groups, validations and refills pass meanwhile."""
    reward = composite(Ranks())
    early = [
        asyncio.create_task(reward.score(member(index, group="step000001-prompt000000"))) for index in range(N - 1)
    ]

    for name in ("step000002-prompt000000", "step000002-prompt000001", "0f-validation"):
        found = await asyncio.wait_for(asyncio.gather(*(reward.score(member(n, group=name)) for n in range(N))), 1)
        assert ranks(found) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert not any(task.done() for task in early)

    last = await asyncio.wait_for(reward.score(member(N - 1, group="step000001-prompt000000")), 1)
    assert ranks([*[await task for task in early], last]) == pytest.approx([0, 1 / 3, 2 / 3, 1])


async def test_a_run_that_goes_on_scores_a_group_of_the_same_name_as_a_whole():
    """Groups in flight are generated again after a restart; the scorer is another one then and knows none of before."""
    before = composite(Ranks())
    left = [asyncio.create_task(before.score(member(index))) for index in range(2)]
    await asyncio.sleep(0)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)

    whole = composite(Ranks())
    found = await asyncio.wait_for(asyncio.gather(*(whole.score(member(index)) for index in range(N))), 1)

    assert ranks(found) == pytest.approx([0, 1 / 3, 2 / 3, 1])
