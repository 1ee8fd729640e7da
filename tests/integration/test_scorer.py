"""Four reward workers in real Ray processes share one judge client, one cache and one embedder."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import ray
from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1 import user_code
from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.host import gc_tuning
from medix_r1.models.settings import VERL_ROUTER
from medix_r1.rewards.base import Sample, Score
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.training.verl_plugin import scorer
from medix_r1.training.verl_plugin.watching import seats
from tests.support.configs import composed
from tests.support.judge_stub import JudgeStub

WORKERS, QUESTIONS, CONCURRENCY = 4, 12, 3
START = 840  # seconds: each of several processes imports torch and verl, on a loaded machine for minutes
STEP = "step000001"  # its counts are the job's: there is no other


@ray.remote(num_cpus=0)
class Worker:
    """Stands for verl's reward worker: it makes its scorer in its constructor and scores as samples come."""

    def __init__(self, config) -> None:
        self.scorer = scorer.make_scorer(config)

    async def score(self, case: Sample):
        scored = await self.scorer.score(case, STEP)
        return scored.breakdown.total, scored.statistics

    def kind(self) -> str:
        return type(self.scorer).__name__


def start(*arguments: object) -> Any:
    """An actor; what Ray makes of a class is unknown to mypy."""
    actor: Any = Worker
    return actor.remote(*arguments)


def remote_embedder(stub: JudgeStub) -> list[str]:
    return ["embedder=remote", f"embedder.base_url={stub.address}"]


def case(number: int) -> Sample:
    text = f"<X_RAY><think>so</think><answer>the left one, {number}</answer>"
    return Sample(parse_completion(text), parse_reference("<X_RAY>left lung"), question=f"Question {number}?")


@pytest.fixture(scope="module")
def cluster():
    of_a_run = composed("experiment=nano_cpu").ray_kwargs.ray_init.runtime_env
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={
            "worker_process_setup_hook": of_a_run.worker_process_setup_hook,
            "env_vars": {
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "OMP_NUM_THREADS": "1",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
        },
    )
    yield
    ray.shutdown()


@pytest.fixture
def run(tmp_path):
    def compose(address: str, workers: int, *more: str):
        (tmp_path / "run").mkdir(exist_ok=True)
        overrides = [
            "judge=remote",
            f"judge.client.base_url={address}",
            "judge.client.prompt=match_short",
            f"judge.client.concurrency={CONCURRENCY}",
            f"reward.num_workers={workers}",
        ]
        config = configs.compose_reward([*overrides, *more])
        OmegaConf.set_struct(config, False)
        return OmegaConf.merge(config, {"run": {"dir": str(tmp_path / "run")}})

    return compose


def test_limits_cache_and_embedder_are_one_for_the_job(cluster, run, tmp_path):
    with JudgeStub() as stub:
        stub.delay = 0.05
        config = run(stub.address, WORKERS, "embedder=minilm")
        workers = [start(config) for _ in range(WORKERS)]
        assert ray.get([worker.kind.remote() for worker in workers], timeout=START) == ["SharedScorer"] * WORKERS

        # every worker gets every question twice, as members of a group do
        asked = [worker.score.remote(case(i)) for _ in range(2) for i in range(QUESTIONS) for worker in workers]
        outcomes = ray.get(asked, timeout=START)
        again = ray.get(workers[0].score.remote(case(0)), timeout=START)

        assert len(stub.calls) == QUESTIONS
        assert stub.most_in_flight == CONCURRENCY
    totals = {round(total, 6) for total, _ in outcomes}
    assert len(totals) <= 2  # format, modality, perhaps embed; the stub says NO to all
    statistics = again[1]
    assert statistics["llm/calls"] == QUESTIONS
    assert statistics["llm/shared"] + statistics["llm/cache_hits"] == 2 * QUESTIONS * WORKERS - QUESTIONS + 1
    assert statistics["embed/texts"] == QUESTIONS + 1
    loaded = [event for event in read_lines(RunFolder(tmp_path / "run").events) if event["event"] == "versions"]
    assert [event["embedder_revision"] for event in loaded] == ["sha256:53aa51172d142c89"]


def test_a_worker_looks_seldom_for_garbage_from_its_start(cluster):
    @ray.remote(num_cpus=0)
    def thresholds() -> tuple[int, int, int]:
        return gc.get_threshold()

    before = gc.get_threshold()  # whatever another test of this process left
    gc_tuning.tune_for_imports()
    wanted = gc.get_threshold()
    gc.set_threshold(*before)

    assert ray.get(thresholds.remote(), timeout=START) == wanted


def ask_until_gone(actor):
    """Killing takes a moment."""
    for _ in range(1000):
        ray.get(actor.wants.remote(), timeout=START)


def test_a_lost_actor_is_an_outage_and_no_zero(cluster, run, monkeypatch):
    monkeypatch.setattr(scorer, "ACTOR", "another")  # the one before may be ending still
    with JudgeStub() as stub:
        config = run(stub.address, 2, *remote_embedder(stub))
        shared = scorer.make_scorer(config)
        assert isinstance(shared, scorer.SharedScorer)
        ray.kill(shared._actor)
        with pytest.raises(ray.exceptions.RayActorError):
            ask_until_gone(shared._actor)

        breakdown = asyncio.run(shared.score(case(0), None)).breakdown

    assert breakdown.total is None
    assert breakdown.outage
    assert "process" in str(breakdown.failure)


class After:
    """A signal that notes which files of users are loaded when it is made."""

    found: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.found.extend(name for name in sys.modules if name.startswith(f"{user_code.__name__}."))

    def score(self, sample):
        raise NotImplementedError


class Longest:
    """1 for the longest reply of a group."""

    needs_group = True

    def score_group(self, samples):
        lengths = [len(one.completion.text) for one in samples]
        return [Score(float(own == max(lengths)), f"{own} of {len(samples)}") for own in lengths]


def test_workers_wait_for_the_rollouts_of_a_prompt_and_for_none_that_has_ended(cluster, run, monkeypatch):
    """One worker scores each rollout, and a process that runs agent loops reports the end of the one that failed."""
    monkeypatch.setattr(scorer, "ACTOR", "groups")
    signal = {"longest": {"_target_": f"{__name__}.Longest"}}
    config = run("http://127.0.0.1:9/v1", 2)
    config.reward.signals, config.reward.weights = signal, {"longest": 1.0}
    config.actor_rollout_ref = {"rollout": {"n": 3, "val_kwargs": {"n": 1}}}
    row = {"uid": "step000001-prompt000000", "session_id": 1}
    shared = scorer.make_scorer(config)
    assert isinstance(shared, scorer.SharedScorer)

    async def scored():
        reports = seats.EndReports(config)
        reports._scorer = shared._actor
        tasks = [
            asyncio.create_task(
                shared.score(replace(case(10**n), seat=seats.seat_of(row | {"session_id": n}, config)), None)
            )
            for n in (2, 0)
        ]
        _, waiting = await asyncio.wait(tasks, timeout=0.5)
        await reports.ended(row)
        return len(waiting), await asyncio.wait_for(asyncio.gather(*tasks), 60)

    waiting, found = asyncio.run(scored())

    assert waiting == 2
    assert [(one.breakdown.total, one.breakdown.parts["longest"].reason[-4:]) for one in found] == [
        (1.0, "of 2"),
        (0.0, "of 2"),
    ]
    ray.kill(shared._actor)


async def test_one_worker_with_a_signal_of_groups_has_an_actor(run, monkeypatch):
    made: list[object] = []
    monkeypatch.setattr(scorer, "_actor", lambda *arguments: made.append(arguments))
    monkeypatch.setattr(scorer, "SharedScorer", lambda actor: actor)
    config = run("http://127.0.0.1:9/v1", 1)
    config.reward.signals.longest = {"_target_": f"{__name__}.Longest"}

    scorer.make_scorer(config)

    assert len(made) == 1


async def test_one_worker_needs_no_actor(run):
    with JudgeStub() as stub:
        own = scorer.make_scorer(run(stub.address, 1, *remote_embedder(stub)))
        assert isinstance(own, scorer.Scorer)

        scored = await own.score(case(0), STEP)

        assert scored.breakdown.total is not None
        assert scored.statistics["llm/calls"] == 1


async def test_the_runs_plugins_are_there_before_the_signals_are_made(run, tmp_path, monkeypatch):
    """In an actor of its own nothing else loads them."""
    plugin = tmp_path / "plugin.py"
    plugin.write_text("", encoding="utf-8")
    monkeypatch.setenv(user_code.PLUGINS, json.dumps([str(plugin)]))
    config = run("http://127.0.0.1:9/v1", 1)
    config.reward.signals, config.reward.weights = {"first": {"_target_": f"{__name__}.After"}}, {"first": 1.0}

    scorer.make_scorer(config)

    assert After.found == [user_code.dotted(str(plugin))]


def test_verls_router_takes_the_place_of_its_name(tmp_path):
    config = configs.compose_train(["experiment=nano_cpu", "judge=verl", f"run.dir={tmp_path}"])

    routed = scorer.with_router(config.reward, "10.0.0.1:4321")

    assert routed.signals.llm.judge.base_url == "http://10.0.0.1:4321/v1"
    assert config.reward.signals.llm.judge.base_url == VERL_ROUTER
    with pytest.raises(ValueError, match=r"reward\.reward_model\.enable=true"):
        scorer.with_router(config.reward, None)
    other = configs.compose_train(["experiment=nano_cpu", "judge=remote", "judge.client.base_url=http://a/v1"])
    assert scorer.with_router(other.reward, "10.0.0.1:4321") is other.reward


def test_the_actors_process_needs_no_verl():
    """There a class is the first that Ray unpickles. verl, imported for it, would import what imports this class."""
    program = "import sys, medix_r1.training.verl_plugin.scorer; sys.exit('verl' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == 0
