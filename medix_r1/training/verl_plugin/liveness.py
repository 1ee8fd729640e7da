"""Notices at once when a process of the job is gone, and says which: a thread beside the trainer asks each of them.

The trainer waits for its workers in many places (the sampler's polling, an update, a weight sync), and in some of them
a missing partner is waited for without end: the other ranks of a collective, or the sender of weights whose receiver
has gone. So a dead worker is noted here, the sampler asks at every look, and if the trainer is still waiting elsewhere
after a while, the other workers are ended too, which makes that wait fail.

A worker that lives but is stuck is not seen here; that is what `run.stall_limit` is for.
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

INTERVAL = 2.0  # seconds between two looks
_RELEASE = 15.0  # seconds the trainer gets to stop by itself before what it may wait for is ended
_LAST_LOOK = 5.0  # seconds a last look waits for answers: an error may come a moment before its cause is known
_HEALTH_TIMEOUT = 5.0
_ADVICE = "Some common causes"  # begins what Ray adds to every end of a process


class WorkerWatch:
    """Watches Ray actors and vLLM engines for the length of a `with` block.

    An actor has one unanswered call at any time; when its process dies, Ray answers with an error, however busy the
    actor was. An engine is a process below its actor, so its server is asked for `/health`, which says 503 when the
    engine is gone; that it does not answer in time says nothing.

    Args:
        actors: handles by the name that a person knows them by.
        engines: addresses (HOST:PORT) of vLLM's servers by name.
    """

    def __init__(self, actors: Mapping[str, Any], engines: Mapping[str, str]) -> None:
        self._actors, self._engines = dict(actors), dict(engines)
        self._calls: dict[str, Any] = {}
        self._dead: dict[str, str] = {}
        self._http = httpx.Client(timeout=_HEALTH_TIMEOUT, trust_env=False)  # one: each reads all certificates
        self._stop = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._keep_looking, name="medix-worker-watch", daemon=True)

    def __enter__(self) -> WorkerWatch:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Raises `TrainingError` in place of an error that a dead worker caused."""
        self._stop.set()
        if isinstance(error, Exception):
            self._look(_LAST_LOOK)
            self.raise_if_dead(error)

    def look_now(self) -> None:
        """Look once more, waiting for answers: something has failed. Raises as `raise_if_dead`."""
        self._look(_LAST_LOOK)
        self.raise_if_dead()

    def raise_if_dead(self, cause: Exception | None = None) -> None:
        """Raises `TrainingError` with the name of each worker that has died."""
        if self._dead:
            who = "; ".join(f"{name} died ({reason})" for name, reason in self._dead.items())
            raise TrainingError(
                f"{who}. The run cannot go on without it. If nobody killed it, the end of the log and the kernel's log "
                "(out of memory?) say why; the same command resumes from the last checkpoint.",
                code="worker-died",
            ) from cause

    def _keep_looking(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._look()
            if self._dead and not self._stop.wait(_RELEASE):
                self._release()
                return

    def _look(self, patience: float = 0.0) -> None:
        """Take in what has been answered; with patience ask anew and wait: an answer may be older than a death."""
        end = time.monotonic() + patience
        calls, unknown = ({} if patience else self._calls), set(self._actors)
        with self._looking:
            while not self._dead:
                unknown -= self._ask(calls, unknown, patience and max(0.0, end - time.monotonic()))
                self._ask_engines()
                if not unknown or time.monotonic() >= end:
                    break

    def _ask(self, calls: dict[str, Any], names: Collection[str], patience: float) -> set[str]:
        """Ask actors that owe no answer, note who has died, and return who is alive; waits for one answer at most."""
        calls |= {name: self._actors[name].__ray_ready__.remote() for name in names if name not in calls}
        if not calls:
            return set()
        answered, _ = ray.wait(list(calls.values()), num_returns=1 if patience else len(calls), timeout=patience)
        alive = set()
        for name in [name for name, call in calls.items() if call in answered]:
            try:
                ray.get(calls.pop(name))
                alive.add(name)
            except ray.exceptions.ActorUnavailableError:
                time.sleep(0.1)  # the connection is gone, the actor perhaps not; the next call knows more
            except ray.exceptions.RayActorError as error:
                self._note(name, reason_of(str(error)))
        return alive

    def _note(self, name: str, reason: str) -> None:
        logger.error("%s died: %s", name, reason)
        self._dead[name] = reason

    def _ask_engines(self) -> None:
        for name, address in self._engines.items():
            try:
                answer = self._http.get(f"http://{address}/health")
            except httpx.HTTPError:
                continue  # busy, or gone with its actor, which is watched as well
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self._note(name, "its server answers /health with 503")

    def _release(self) -> None:
        """End the other workers: whoever waits for one of them gets Ray's error instead."""
        logger.error("the trainer still waits for a dead worker; ending the others, too")
        for name, actor in self._actors.items():
            if name not in self._dead:
                ray.kill(actor)


def reason_of(error: str) -> str:
    """What Ray says of an actor's end: which process it was and how it ended, without the advice that follows."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    place = [line for line in lines if line.startswith(("pid:", "ip:"))]
    end = next((line for line in reversed(lines) if line.startswith("The actor")), lines[0])
    return ", ".join([*place, end.split(_ADVICE)[0].rstrip(". ")])


def workers_of(trainer: Any, agent_loops: Any) -> dict[str, Any]:
    """Every Ray actor that a trainer of verl depends on, by name."""
    actors = {f"FSDP worker {i}": worker for i, worker in enumerate(trainer.actor_rollout_wg.workers)}
    actors |= {f"agent-loop worker {i}": worker for i, worker in enumerate(agent_loops.agent_loop_workers)}
    reward = trainer.reward_loop_manager
    actors |= {f"reward worker {i}": worker for i, worker in enumerate(reward.reward_loop_workers)}
    for what, replica in _replicas(trainer):
        actors |= {f"{what} server {replica.replica_rank}.{i}": server for i, server in enumerate(replica.servers)}
    return actors


def engines_of(trainer: Any) -> dict[str, str]:
    """The address of each vLLM engine that a trainer of verl depends on, by name."""
    return {f"{what} engine {replica.replica_rank}": replica.server_address for what, replica in _replicas(trainer)}


def _replicas(trainer: Any) -> list[tuple[str, Any]]:
    judge = trainer.reward_loop_manager.reward_model_manager  # judge=verl
    found = [("vLLM", replica) for replica in trainer.llm_server_manager.get_replicas()]
    return found + [("judge's vLLM", replica) for replica in (judge.rollout_replicas if judge else [])]
