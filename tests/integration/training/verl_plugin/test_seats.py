"""A rollout's seat in its group, and the report that it has ended, around verl's own method."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker

from medix_r1.rewards.base import Score, Seat
from medix_r1.training.verl_plugin.watching import seats

ROW = {"uid": "step000003-prompt000007", "session_id": 2}


class Grouped:
    needs_group = True

    def score_group(self, samples):
        return [Score(1.0, "fine")] * len(samples)


def config(*, grouped: bool = True):
    signals = {"grouped": {"_target_": f"{__name__}.Grouped"} if grouped else None}
    rollout = {"n": 5, "val_kwargs": {"n": 2}}
    return OmegaConf.create({"reward": {"signals": signals}, "actor_rollout_ref": {"rollout": rollout}})


class Scorer:
    """Stands for the handle of the job's actor."""

    def __init__(self) -> None:
        self.left: list[Seat] = []
        self.leave = self

    def remote(self, seat):
        self.left.append(seat)


@pytest.fixture
def scorer(monkeypatch):
    made, missing = Scorer(), iter([True, False])

    def get_actor(name, namespace):
        assert (name, namespace) == (seats.ACTOR, "medix-1")
        if next(missing):  # the reward's worker is still starting
            raise ValueError
        return made

    monkeypatch.setattr("ray.get_actor", get_actor)
    monkeypatch.setattr(seats, "namespace", lambda: "medix-1")
    monkeypatch.setattr(seats, "_LOOK_AGAIN", 0.0)
    return made


@pytest.mark.parametrize(
    ("row", "seat"),
    [
        (ROW, Seat("step000003-prompt000007", 2, 5)),
        ({"uid": "f3c1-22", "session_id": 1}, Seat("f3c1-22", 1, 2)),
        ({"uid": "f3c1-22"}, None),
        ({}, None),
    ],
)
def test_a_rollouts_seat_is_what_verl_calls_it(row, seat):
    assert seats.seat_of(row, config()) == seat


class Worker:
    """verl's worker, as far as the wrapped method needs one."""

    def __init__(self, grouped: bool, ends: BaseException | None) -> None:
        self.config, self.ends = config(grouped=grouped), ends

    async def run(self, *args, **kwargs):
        if self.ends:
            raise self.ends
        return "done"


@pytest.mark.parametrize("ends", [None, RuntimeError("no reply"), asyncio.CancelledError()])
async def test_the_end_of_every_rollout_is_reported_however_it_ends(scorer, ends):
    worker = Worker(True, ends)
    run = seats._reporting(Worker.run)

    results: Any = await asyncio.gather(run(worker, {}, trajectory={}, **ROW), return_exceptions=True)

    assert type(results[0]) is (str if ends is None else type(ends))
    assert scorer.left == [Seat("step000003-prompt000007", 2, 5)]


async def test_without_a_signal_of_groups_nothing_is_reported(scorer):
    await seats._reporting(Worker.run)(Worker(False, None), {}, trajectory={}, **ROW)

    assert not scorer.left


def test_the_plugin_wraps_verls_own_method():
    seats.install()
    seats.install()

    wrapped = AgentLoopWorker._run_agent_loop
    assert wrapped._medix_r1_replaced is wrapped.__wrapped__
    assert not hasattr(wrapped.__wrapped__, "_medix_r1_replaced")
