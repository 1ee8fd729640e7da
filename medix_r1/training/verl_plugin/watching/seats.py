"""Which place in its group a rollout has, and word to the scorer when a rollout has ended.

A signal that scores whole groups waits for all rollouts of a prompt (rewards/groups/whole_group.py). A rollout that
fails in verl's agent loop never reaches the reward. So the end of each is reported, or the others would wait for it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

import ray
from omegaconf import DictConfig

from medix_r1.rewards.base import Seat
from medix_r1.rewards.groups.whole_group import needs_group
from medix_r1.training.verl_plugin.patches.replacing import replace_once

ACTOR = "medix_reward"  # the job's scorer, when it is an actor
_LOOK_AGAIN = 0.5  # seconds, while the scorer's actor is still starting


def scores_groups(config: DictConfig) -> bool:
    """Whether a signal of the reward scores whole groups."""
    return any(needs_group(signal) for signal in config.reward.signals.values() if signal is not None)


def seat_of(row: Mapping[str, Any], config: DictConfig) -> Seat | None:
    """The seat of a rollout by verl's columns and the config; None for a row that verl gave no group.

    Our trainers name the prompts that they train on `step…`. A validation prompt has a random name.
    """
    if "uid" not in row or "session_id" not in row:
        return None
    rollout = config.actor_rollout_ref.rollout
    trained = str(row["uid"]).startswith("step")
    return Seat(str(row["uid"]), int(row["session_id"]), int(rollout.n if trained else rollout.val_kwargs.n))


def namespace() -> str:
    """Ray's namespace of this job's own actors."""
    return f"medix-{ray.get_runtime_context().get_job_id()}"


class EndReports:
    """Tells the job's scorer which rollouts have ended, if a signal of the reward scores whole groups.

    Args:
        config: the resolved config of the run.
    """

    def __init__(self, config: DictConfig) -> None:
        self._config, self._wanted = config, scores_groups(config)
        self._scorer: Any = None

    async def ended(self, row: Mapping[str, Any]) -> None:
        """Report the end of a rollout, whatever came of it; for one that was scored it changes nothing."""
        if not self._wanted or (seat := seat_of(row, self._config)) is None or seat.size == 1:
            return
        while self._scorer is None:
            try:
                self._scorer = ray.get_actor(ACTOR, namespace=namespace())
            except ValueError:
                await asyncio.sleep(_LOOK_AGAIN)
        self._scorer.leave.remote(seat)


def install() -> None:
    """Wrap the method of verl's worker that runs a rollout from its prompt to its reward; twice is once."""
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker

    replace_once(AgentLoopWorker, "_run_agent_loop", _reporting)


def _reporting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        finally:
            if not hasattr(self, "medix_end_reports"):
                self.medix_end_reports = EndReports(self.config)
            await self.medix_end_reports.ended(kwargs)

    return run
