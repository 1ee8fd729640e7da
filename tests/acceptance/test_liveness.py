"""Workers that die while somebody waits for them, as real Ray processes; in a real run: test_kill_workers.py."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from medix_r1.errors import TrainingError
from medix_r1.training.verl_plugin.watching import liveness
from medix_r1.training.verl_plugin.watching.liveness import WorkerWatch
from tests.support.problems import coded

pytestmark = pytest.mark.acceptance


@ray.remote(num_cpus=0)
class Worker:
    def pid(self) -> int:
        return os.getpid()

    def work(self, seconds: float) -> None:
        time.sleep(seconds)


def start(*arguments: object) -> Any:
    """An actor; what Ray makes of a class is unknown to mypy."""
    actor: Any = Worker
    return actor.remote(*arguments)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2]), "RAY_USAGE_STATS_ENABLED": "0"}},
    )
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "INTERVAL", 0.1)
    monkeypatch.setattr(liveness, "_RELEASE", 1.0)
    monkeypatch.setattr(liveness, "_LAST_LOOK", 2.0)


def poll(watch: WorkerWatch) -> None:
    """What the sampler does."""
    for _ in range(200):
        watch.raise_if_dead()
        time.sleep(0.05)


def killed_while(
    actors: dict[str, Any], victim: str, wait: Callable[[WorkerWatch], object], busy: bool = False
) -> tuple[int, str]:
    """Kill one of the actors, let `wait` wait, and return the victim's process and what the watch raised."""
    pid = ray.get(actors[victim].pid.remote())
    work = actors[victim].work.remote(60) if busy else None

    def watched() -> None:
        with WorkerWatch(actors, {}) as watch:
            os.kill(pid, signal.SIGKILL)
            wait(watch)

    with pytest.raises(TrainingError, check=coded("worker-died")) as caught:
        watched()
    del work
    return pid, str(caught.value)


def test_the_sampler_hears_which_worker_died() -> None:
    actors = {"FSDP worker 0": start(), "reward worker 0": start()}
    pid, message = killed_while(actors, "reward worker 0", poll)
    assert message.startswith(f"reward worker 0 died (pid: {pid}, ip: ")
    assert "process has died" in message
    assert "FSDP worker" not in message
    assert "Some common causes" not in message


def test_a_busy_worker_that_dies_is_noticed_too() -> None:
    _, message = killed_while({"FSDP worker 1": start()}, "FSDP worker 1", poll, busy=True)
    assert message.startswith("FSDP worker 1 died")


def test_whoever_waits_for_a_living_worker_is_released() -> None:
    """As a rank of a collective waits for one that has gone: the trainer's call would never return."""
    actors = {"FSDP worker 0": start(), "vLLM server 0.0": start()}
    started = time.monotonic()
    _, message = killed_while(actors, "vLLM server 0.0", lambda _: ray.get(actors["FSDP worker 0"].work.remote(120)))
    assert time.monotonic() - started < 30
    assert message.startswith("vLLM server 0.0 died")
    assert "FSDP worker 0" not in message  # ended by us, and not the cause


def test_the_error_may_come_before_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "INTERVAL", 60.0)
    actors = {"agent-loop worker 0": start()}
    _, message = killed_while(
        actors, "agent-loop worker 0", lambda _: ray.get(actors["agent-loop worker 0"].work.remote(60))
    )
    assert message.startswith("agent-loop worker 0 died")


def test_an_answer_from_before_the_death_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker answers, then works, then dies, all between two looks."""
    monkeypatch.setattr(liveness, "INTERVAL", 60.0)
    worker = start()
    pid = ray.get(worker.pid.remote())

    def watched() -> None:
        with WorkerWatch({"FSDP worker 0": worker}, {}) as watch:
            watch._check()  # asks; the answer lies there, unread, when the worker dies
            call = worker.work.remote(60)
            time.sleep(1.0)
            os.kill(pid, signal.SIGKILL)
            ray.get(call)

    with pytest.raises(TrainingError, match=r"^FSDP worker 0 died"):
        watched()


def test_other_errors_pass_when_all_are_alive() -> None:
    with pytest.raises(ZeroDivisionError), WorkerWatch({"a": start()}, {}):
        _ = 1 / 0
