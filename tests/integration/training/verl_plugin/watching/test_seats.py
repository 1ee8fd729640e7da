"""A rollout's seat in its group, and the report that it has ended, around verl's own method."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import ray
from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

from medix_r1.rewards.base import Score, Seat
from medix_r1.rewards.composite import CompositeReward
from medix_r1.training.verl_plugin.patches.replacing import replace_once
from medix_r1.training.verl_plugin.watching import seats
from tests.unit.rewards.cases import sample

ROW = {"uid": "step000003-prompt000007", "session_id": 2}


class Grouped:
    needs_group = True

    def score_group(self, samples):
        return [Score(1.0, "fine")] * len(samples)


def config(*, grouped: bool = True):
    signals = {"grouped": {"_target_": f"{__name__}.Grouped"} if grouped else None}
    rollout = {"n": 5, "val_kwargs": {"n": 2}}
    node = {"reward": {"signals": signals}, "actor_rollout_ref": {"rollout": rollout}, "data": {}}
    return OmegaConf.create(node)


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


def test_an_actors_class_that_was_made_before_reports_too():
    """`ray.remote` copies what a class inherits, so it would go on with verl's own method."""

    class Loop:
        def run(self) -> str:
            return "theirs"

    made = ray.remote(type("Actor", (Loop,), {})).__ray_metadata__.modified_class
    assert "run" in vars(made)

    replace_once(Loop, "run", lambda theirs: lambda self: "ours")

    assert made().run() == Loop().run() == "ours"


class OneReply:
    """An agent loop, as verl makes one for each rollout; some fail."""

    def __init__(self, **_: Any) -> None: ...

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> str:
        if row["session_id"] in row["fail"]:
            raise RuntimeError("no reply")
        return "x" * (row["session_id"] + 1)


class Longest:
    needs_group = True

    def score_group(self, samples):
        most = max(len(one.completion.text) for one in samples)
        return [Score(float(len(one.completion.text) == most), f"of {len(samples)}") for one in samples]


@pytest.mark.parametrize("validate", [False, True])
@pytest.mark.parametrize("fail", [(), (1,), (4,), (0, 2), (0, 1, 2, 3, 4)])
async def test_verls_worker_ends_a_prompt_whichever_of_its_rollouts_fail(monkeypatch, fail, validate):
    """Its own methods, from the prompt to the reward, with an agent loop and a scorer that stand for the real ones."""
    seats.install()
    composite = CompositeReward(signals={"longest": Longest()}, weights={"longest": 1.0})
    status: dict[str, str] = {}
    scores: dict[int, Any] = {}

    async def put(key, partition_id, tag):
        status[key] = tag["status"]

    class Worker(AgentLoopWorkerTQ.__ray_metadata__.modified_class):
        def __init__(self) -> None:
            self.config = config()
            self.medix_end_reports = seats.EndReports(self.config)
            self.medix_end_reports._scorer = self
            self.leave = self
            self.llm_client = self.tokenizer = self.processor = self.hf_model_type = self.dataset_cls = None
            self.tools: list[Any] = []

        def remote(self, seat: Seat) -> None:
            composite.leave(seat)

        async def _agent_loop_postprocess(self, output, validate, **row):
            made = replace(sample(output, "x", has_image=False), seat=seats.seat_of(row, self.config))
            scores[row["session_id"]] = (await composite.score(made)).parts["longest"]

    monkeypatch.setattr("verl.trainer.ppo.v1.agent_loop_tq.tq.async_kv_put", put)
    registered = {"one_reply": {"_target_": f"{__name__}.OneReply"}}
    monkeypatch.setattr("verl.experimental.agent_loop.agent_loop._agent_loop_registry", registered)
    uid = "0f-9c" if validate else ROW["uid"]
    n = 2 if validate else 5
    prompt = {"uid": uid, "agent_name": "one_reply", "fail": fail}
    trajectory = {"step": 3, "sample_index": 0, "rollout_n": 0, "validate": validate}

    await asyncio.wait_for(Worker()._run_prompt(prompt, {}, trajectory), 300)

    failed = set(fail) & set(range(n))
    assert status[uid] == ("failure" if failed else "finished")
    left = sorted(set(range(n)) - failed)
    assert sorted(scores) == left
    if len(left) > 1:
        assert {session: (one.value, one.reason) for session, one in scores.items()} == {
            session: (float(session == left[-1]), f"of {len(left)}") for session in left
        }
    else:
        assert [one.value for one in scores.values()] == [None] * len(left)
    assert not composite._groups["longest"]._open
