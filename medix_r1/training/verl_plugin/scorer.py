"""One reward for the whole job, however many reward workers verl starts.

verl picks a reward worker at random for each sample. If each worker built the reward, there would be
`reward.num_workers` caches, rate limits and embedders. So several workers share one named Ray actor; a single worker
builds the reward in its own process, unless a signal scores whole groups: agent-loop workers then tell the actor which
rollouts have ended (seats.py).

Nothing here imports verl, but for a run's plug-ins. The actor's process needs little of it, and importing it takes
seconds. It would also close a circle: verl imports plugin.py, which imports reward_manager.py, which needs this file
whole.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from cachetools import LRUCache
from omegaconf import DictConfig, OmegaConf

from medix_r1 import user_code
from medix_r1.host import gc_tuning
from medix_r1.models.server_state import is_gauge
from medix_r1.models.settings import VERL_ROUTER
from medix_r1.rewards.base import Sample, Seat
from medix_r1.rewards.build import build_reward
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.runs import stacks
from medix_r1.runs.folder import RunFolder, WaitingHandler
from medix_r1.training.verl_plugin.watching.seats import ACTOR, namespace, scores_groups

logger = logging.getLogger(__name__)

_IN_FLIGHT = 100_000  # concurrent samples, in effect unlimited; judge and embedder have limits of their own
_READ_EVERY = 1.0  # seconds between two readings of the counters, at least, while replies are being scored


@dataclass(frozen=True, slots=True)
class Scored:
    """Score of one sample, and the step's call counts so far (empty when another sample carries them)."""

    breakdown: RewardBreakdown
    statistics: dict[str, float]


class StepCounters:
    """Counts the calls to judge and embedder in each training step, from its first reply on.

    The sampler runs in another process and sees only samples. So samples carry the counts so far, and the maximum over
    a step's samples is the step's count. Reading the counters is slow, so while replies are being scored, at most one
    sample a second carries them; the last one of a burst always does.

    Args:
        statistics: reads the counters; gauges (`is_gauge`) are passed on unchanged.
    """

    def __init__(self, statistics: Callable[[], dict[str, float]]) -> None:
        self._read = statistics
        self._begun: LRUCache[str, dict[str, float]] = LRUCache(16)  # steps that can be in flight at once
        self._running, self._read_at = 0, -_READ_EVERY

    @contextmanager
    def running(self, step: str | None) -> Iterator[None]:
        """Within the block, a reply of `step` is being scored; None for a validation."""
        if step is not None and step not in self._begun:
            self._begun[step] = self._read()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def so_far(self, step: str | None) -> dict[str, float]:
        """Growth of every counter in this step; empty when another sample will carry it."""
        if step is None or (self._running and time.monotonic() - self._read_at < _READ_EVERY):
            return {}
        self._read_at = time.monotonic()
        begun = self._begun.get(step, {})
        return {name: now if is_gauge(name) else now - begun.get(name, 0.0) for name, now in self._read().items()}


class Scorer:
    """Builds the reward of a run and scores samples with it.

    Args:
        config: the resolved config of the run.
        router_address: HOST:PORT of verl's own reward model, or None.
    """

    def __init__(self, config: DictConfig, router_address: str | None = None) -> None:
        if user_code.plugins():  # they may import parts of this room, which only follow verl as a whole
            importlib.import_module("verl")
        stacks.register()  # in an actor of its own, plugin.py does not run unless verl is imported
        user_code.load_plugins()
        folder = RunFolder(Path(config.run.dir))
        logging.getLogger("medix_r1.models").addHandler(WaitingHandler(folder))
        self._composite = build_reward(with_router(config.reward, router_address))
        self._counters = StepCounters(self._composite.statistics)
        self.wants_images = self._composite.wants_images
        if versions := self._load():
            folder.add_event("versions", **versions)
        gc_tuning.tune_for_scoring()

    def _load(self) -> dict[str, str]:
        """Load models before the first sample needs them; returns their versions."""
        versions: dict[str, str] = {}
        for signal in self._composite.signals.values():
            embedder: Any = getattr(signal, "embedder", None)
            if hasattr(embedder, "load"):
                embedder.load()
            if hasattr(embedder, "versions"):
                versions |= embedder.versions()
        return versions

    async def wants(self) -> bool:
        """Whether a signal needs a sample's images."""
        return self.wants_images

    async def leave(self, seat: Seat) -> None:
        """A rollout has ended; if it was not scored, its group is scored without it."""
        self._composite.leave(seat)

    async def score(self, sample: Sample, step: str | None) -> Scored:
        """Score one sample; `step` is None for a validation."""
        with self._counters.running(step):
            try:
                breakdown = await self._composite.score(sample)
            except Exception as error:
                # A bug in a signal. verl would drop the sample and train on the rest; an outage stops the run.
                logger.exception("a signal of the reward failed")
                failure = f"bug in the reward: {type(error).__name__}: {error}"
                breakdown = RewardBreakdown(total=None, parts={}, failure=failure, outage=True)
        return Scored(breakdown, self._counters.so_far(step))


class SharedScorer:
    """Client of the job's scorer, a Ray actor in another process."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.wants_images: bool = ray.get(actor.wants.remote())

    async def score(self, sample: Sample, step: str | None) -> Scored:
        """Score one sample; a dead actor counts as an outage, which stops the run."""
        try:
            scored: Scored = await self._actor.score.remote(sample, step)
        except ray.exceptions.RayActorError as error:
            failure = f"the reward's process ended: {str(error).splitlines()[0]}"
            return Scored(RewardBreakdown(total=None, parts={}, failure=failure, outage=True), {})
        return scored


def make_scorer(config: DictConfig, router_address: str | None = None) -> Scorer | SharedScorer:
    """The job's scorer: in this process for one reward worker, in a named actor for several and for whole groups.

    The first worker creates the actor; it ends with the job. Arguments are those of `Scorer`.
    """
    if config.reward.num_workers == 1 and not scores_groups(config):
        return Scorer(config, router_address)
    return SharedScorer(_actor(config, router_address))


def _actor(config: DictConfig, router_address: str | None) -> Any:
    """The job's actor with the reward, made by whoever asks first."""
    return (
        ray.remote(Scorer)
        .options(
            name=ACTOR,
            namespace=namespace(),
            get_if_exists=True,
            max_concurrency=_IN_FLIGHT,
            num_cpus=0,
        )
        .remote(config, router_address)
    )


def with_router(reward: DictConfig, address: str | None) -> DictConfig:
    """The `reward` node with the address of verl's router in place of judge=verl's placeholder.

    Raises:
        ValueError: verl started no reward model.
    """
    asking = [
        name
        for name, signal in reward.signals.items()
        if signal is not None and (signal.get("judge") or {}).get("base_url") == VERL_ROUTER
    ]
    if not asking:
        return reward
    if address is None:
        raise ValueError("judge=verl, but verl started no reward model: set reward.reward_model.enable=true")
    update = {"signals": {name: {"judge": {"base_url": f"http://{address}/v1"}} for name in asking}}
    merged = OmegaConf.merge(reward, update)
    assert isinstance(merged, DictConfig)
    return merged


def not_called(*_: Any, **__: Any) -> float:
    """Placeholder for judge=verl, never called: `reward.custom_reward_function` in configs/judge/verl.yaml names it.

    Without a named function, verl uses its own classifier, not our reward manager (verl/experimental/reward_loop).
    """
    raise AssertionError("verl called the placeholder of judge=verl instead of the reward manager")
