"""Watchdog for dead workers: a thread beside the trainer that ends the run and names who died.

The trainer waits for workers in many places (polling, an update, a weight sync). Some of these waits never end when a
partner is dead: a collective, or the sender of weights whose receiver is gone. So the watchdog records dead workers,
and the sampler reads the record at every poll. If the trainer still waits elsewhere after a grace period, the watchdog
kills the other workers, too, which makes that wait fail.

A worker that hangs but lives is not seen here; `run.stall_limit` covers it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

import httpx
import ray

from medix_r1.errors import TrainingError

logger = logging.getLogger(__name__)

INTERVAL = 2.0  # seconds between two checks
_GRACE = 15.0  # seconds for the trainer to stop by itself before the other workers are killed
_FINAL_TIMEOUT = 5.0  # seconds of a final check: an error may arrive before the death that caused it is known
_HEALTH_TIMEOUT = 5.0
_ADVICE = "Some common causes"  # start of the general advice in Ray's message about a dead actor


class WorkerWatch:
    """Watches Ray actors and vLLM engines within a `with` block.

    Each actor always has one pending call. When its process dies, Ray fails that call, however busy the actor was. An
    engine is a child process of its actor, so its server's `/health` is polled: status 503 means that the engine is
    dead; a timeout means nothing.

    Args:
        actors: Ray handles by display name.
        engines: addresses (HOST:PORT) of vLLM's servers by display name.
    """

    def __init__(self, actors: Mapping[str, Any], engines: Mapping[str, str]) -> None:
        self._actors, self._engines = dict(actors), dict(engines)
        self._calls: dict[str, Any] = {}
        self._dead: dict[str, str] = {}
        self._http = httpx.Client(timeout=_HEALTH_TIMEOUT, trust_env=False)  # shared, since each loads all certificates
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="medix-worker-watch", daemon=True)

    def __enter__(self) -> WorkerWatch:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Raise `TrainingError` in place of an error that a dead worker caused."""
        self._stop.set()
        if isinstance(error, Exception):
            self._check(_FINAL_TIMEOUT)
            self.raise_if_dead(error)

    def check_now(self) -> None:
        """Check after a failure, waiting for answers. Raises as `raise_if_dead`."""
        self._check(_FINAL_TIMEOUT)
        self.raise_if_dead()

    def raise_if_dead(self, cause: Exception | None = None) -> None:
        """Raise `TrainingError` with the name of each dead worker, if there is one."""
        if self._dead:
            who = "; ".join(f"{name} died ({reason})" for name, reason in self._dead.items())
            raise TrainingError(
                f"{who}. The run cannot go on without it. If nobody killed it, the end of the log and the kernel's log "
                "(out of memory?) say why; the same command resumes from the last checkpoint.",
                code="worker-died",
            ) from cause

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._check()
            if self._dead and not self._stop.wait(_GRACE):
                self._kill_others()
                return

    def _check(self, timeout: float = 0.0) -> None:
        """Collect answers. With a timeout, make new calls and wait for them: an old answer may precede a death."""
        end = time.monotonic() + timeout
        calls, unknown = ({} if timeout else self._calls), set(self._actors)
        with self._lock:
            while not self._dead:
                unknown -= self._probe(calls, unknown, timeout and max(0.0, end - time.monotonic()))
                self._probe_engines()
                if not unknown or time.monotonic() >= end:
                    break

    def _probe(self, calls: dict[str, Any], names: Collection[str], timeout: float) -> set[str]:
        """Call actors without a pending call, mark dead ones, return live ones; a timeout waits for one answer."""
        calls |= {name: self._actors[name].__ray_ready__.remote() for name in names if name not in calls}
        if not calls:
            return set()
        answered, _ = ray.wait(list(calls.values()), num_returns=1 if timeout else len(calls), timeout=timeout)
        alive = set()
        for name in [name for name, call in calls.items() if call in answered]:
            try:
                ray.get(calls.pop(name))
                alive.add(name)
            except ray.exceptions.ActorUnavailableError:
                time.sleep(0.1)  # the connection is lost, but the actor may live; the next call tells
            except ray.exceptions.RayActorError as error:
                self._mark_dead(name, reason_of(str(error)))
        return alive

    def _mark_dead(self, name: str, reason: str) -> None:
        logger.error("%s died: %s", name, reason)
        self._dead[name] = reason

    def _probe_engines(self) -> None:
        for name, address in self._engines.items():
            try:
                answer = self._http.get(f"http://{address}/health")
            except httpx.HTTPError:
                continue  # busy, or dead with its actor, which is watched, too
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self._mark_dead(name, "its server answers /health with 503")

    def _kill_others(self) -> None:
        """Kill the other workers, so that a wait for one of them ends with Ray's error."""
        logger.error("the trainer still waits for a dead worker; ending the others, too")
        for name, actor in self._actors.items():
            if name not in self._dead:
                ray.kill(actor)


def reason_of(error: str) -> str:
    """Process and cause of death from Ray's message about a dead actor, without its general advice."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    place = [line for line in lines if line.startswith(("pid:", "ip:"))]
    end = next((line for line in reversed(lines) if line.startswith("The actor")), lines[0])
    return ", ".join([*place, end.split(_ADVICE)[0].rstrip(". ")])


def workers_of(trainer: Any, agent_loops: Any) -> dict[str, Any]:
    """Every Ray actor that one of verl's trainers depends on, by display name."""
    actors = {f"FSDP worker {i}": worker for i, worker in enumerate(trainer.actor_rollout_wg.workers)}
    actors |= {f"agent-loop worker {i}": worker for i, worker in enumerate(agent_loops.agent_loop_workers)}
    reward = trainer.reward_loop_manager
    actors |= {f"reward worker {i}": worker for i, worker in enumerate(reward.reward_loop_workers)}
    for what, replica in _replicas(trainer):
        actors |= {f"{what} server {replica.replica_rank}.{i}": server for i, server in enumerate(replica.servers)}
    return actors


def engines_of(trainer: Any) -> dict[str, str]:
    """Address (HOST:PORT) of each vLLM engine that one of verl's trainers depends on, by display name."""
    return {f"{what} engine {replica.replica_rank}": replica.server_address for what, replica in _replicas(trainer)}


def _replicas(trainer: Any) -> list[tuple[str, Any]]:
    judge = trainer.reward_loop_manager.reward_model_manager  # judge=verl
    found = [("vLLM", replica) for replica in trainer.llm_server_manager.get_replicas()]
    return found + [("judge's vLLM", replica) for replica in (judge.rollout_replicas if judge else [])]
