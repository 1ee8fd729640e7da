"""What a dead worker is called, and when an engine counts as dead; with real Ray processes: tests/acceptance."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from medix_r1.errors import TrainingError
from medix_r1.training.verl_plugin.watching import liveness
from medix_r1.training.verl_plugin.watching.liveness import WorkerWatch, engines_of, reason_of, workers_of
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.support.problems import coded

# what ray 2.60 says of an actor that was killed
KILLED = """The actor died unexpectedly before finishing this task.
\tclass_name: RewardLoopWorker
\tactor_id: 0c7e5a
\tpid: 15796
\tname: reward_loop_worker_0
\tnamespace: 6f1a
\tip: 192.0.2.2
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed \
by the OOM killer due to high memory usage, (2) ray stop --force was called."""


def test_rays_facts_stay_and_its_advice_goes():
    assert reason_of(KILLED) == (
        "pid: 15796, ip: 192.0.2.2, The actor is dead because its worker process has died. Worker exit type: "
        "SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file"
    )


def test_an_error_of_one_line_stays_as_it_is():
    assert reason_of("the node went away\n") == "the node went away"


class Health(LoopbackHandler):
    status, delay = 200, 0.0

    def do_GET(self):
        time.sleep(self.delay)
        assert self.path == "/health"
        self.send(self.status, b"")


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(liveness, "INTERVAL", 0.05)
    monkeypatch.setattr(liveness, "_HEALTH_TIMEOUT", 0.2)
    handler: Any = type("Handler", (Health,), {})
    with LoopbackServer(handler) as server:
        handler.address = f"127.0.0.1:{server.port}"
        yield handler


def look(watch, seconds):
    """What the sampler does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.raise_if_dead()
        time.sleep(0.02)


def test_a_dead_engine_is_named_though_its_server_lives(engine):
    named = pytest.raises(TrainingError, match=r"^vLLM engine 0 .*503", check=coded("worker-died"))
    with named, WorkerWatch({}, {"vLLM engine 0": engine.address}) as watch:
        threading.Timer(0.3, setattr, (engine, "status", 503)).start()
        look(watch, 60)


def test_a_server_that_answers_late_or_not_at_all_is_not_dead(engine):
    engine.delay = 0.5
    with WorkerWatch({}, {"late": engine.address, "gone": "127.0.0.1:9"}) as watch:
        look(watch, 0.8)


def test_an_error_that_no_dead_worker_caused_passes(engine):
    with pytest.raises(ZeroDivisionError), WorkerWatch({}, {"vLLM engine 0": engine.address}):
        _ = 1 / 0


def test_an_error_before_the_first_look_gets_its_cause(engine, monkeypatch):
    monkeypatch.setattr(liveness, "INTERVAL", 60.0)
    engine.status = 503
    with pytest.raises(TrainingError, match="vLLM engine 0"), WorkerWatch({}, {"vLLM engine 0": engine.address}):
        raise RuntimeError("every prompt failed")


@pytest.mark.parametrize("judge", [None, SimpleNamespace(rollout_replicas=[])])
def test_every_kind_of_worker_is_watched(judge):
    replica = SimpleNamespace(replica_rank=1, servers=["head", "rest"], server_address="10.0.0.1:80")
    if judge:
        judge.rollout_replicas = [SimpleNamespace(replica_rank=0, servers=["j"], server_address="10.0.0.2:80")]
    trainer = SimpleNamespace(
        actor_rollout_wg=SimpleNamespace(workers=["f0", "f1"]),
        reward_loop_manager=SimpleNamespace(reward_loop_workers=["r"], reward_model_manager=judge),
        llm_server_manager=SimpleNamespace(get_replicas=lambda: [replica]),
    )
    judges = {"judge's vLLM server 0.0": "j"} if judge else {}

    assert workers_of(trainer, SimpleNamespace(agent_loop_workers=["a"])) == {
        "FSDP worker 0": "f0",
        "FSDP worker 1": "f1",
        "agent-loop worker 0": "a",
        "reward worker 0": "r",
        "vLLM server 1.0": "head",
        "vLLM server 1.1": "rest",
        **judges,
    }
    assert engines_of(trainer) == {
        "vLLM engine 1": "10.0.0.1:80",
        **({"judge's vLLM engine 0": "10.0.0.2:80"} if judge else {}),
    }
