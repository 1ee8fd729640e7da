"""verl's single-turn agent loop with a sampling seed of its own for every rollout.

vLLM then draws the same reply for the same question, rollout number and weights, whatever else shares the batch, so an
interrupted and resumed run can be compared with an uninterrupted one. verl's own `full_determinism` gives all rollouts
of a group the same seed, hence the same reply and no advantage; it stays off.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, ClassVar

from cachetools import LRUCache
from verl.experimental.agent_loop.agent_loop import register as register_with_verl
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

NAME = "medix_single_turn"


_GROUPS = 4096  # prompts whose tokens are kept; a step has fewer


class SeededSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One question, one reply, one seed; the prompt is tokenised once a group.

    verl makes an object of this class for every rollout, and each would run the image processor over the same images
    to learn how many tokens they take.
    """

    _prompts: ClassVar[LRUCache[str, asyncio.Task[list[int]]]] = LRUCache(_GROUPS)
    _uid = ""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        """Generate one reply; `kwargs` are the row's columns plus verl's `uid` and `session_id`."""
        self._uid, session = rollout_identity(kwargs)
        seed = rollout_seed(self.rollout_config.seed, self._uid, session)
        return await super().run({**sampling_params, "seed": seed}, **kwargs)

    async def ct_build_initial_tokens(self, messages: list[dict[str, Any]], **media: Any) -> list[int]:
        """Tokenise the prompt, or take what another rollout of this group has."""
        if media.get("videos") or not self._uid.startswith("step"):  # a video's features are wanted as well
            return await super().ct_build_initial_tokens(messages, **media)
        task = self._prompts.get(self._uid)
        if task is None:
            task = asyncio.create_task(super().ct_build_initial_tokens(messages, **media))
            self._prompts[self._uid] = task
        return list(await asyncio.shield(task))  # a rollout that is given up takes nothing from its group


def rollout_identity(row: dict[str, Any]) -> tuple[str, int]:
    """What a rollout is called in every run: our trainer's `step…-prompt…` uid, or the row itself when validating."""
    uid = str(row.get("uid", ""))
    if not uid.startswith("step"):  # verl gives validation rows a random uid
        uid = f"validation-{row.get('data_source')}-{row.get('index')}"
    return uid, int(row.get("session_id", 0))


def rollout_seed(run_seed: int, uid: str, session: int) -> int:
    """A seed in [0, 2**31), different for every rollout of a group."""
    digest = hashlib.sha256(f"{run_seed}/{uid}/{session}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def register() -> None:
    """Make the loop known to verl as `actor_rollout_ref.rollout.agent.default_agent_loop=medix_single_turn`."""
    register_with_verl(NAME)(SeededSingleTurnAgentLoop)
