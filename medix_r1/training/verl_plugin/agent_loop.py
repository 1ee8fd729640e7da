"""verl's single-turn agent loop with a sampling seed of its own for every rollout, and one preparation for a group.

vLLM then draws the same reply for the same question, rollout number and weights, whatever else shares the batch, so an
interrupted and resumed run can be compared with an uninterrupted one. verl's own `full_determinism` gives all rollouts
of a group the same seed, hence the same reply and no advantage; it stays off.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from verl.experimental.agent_loop.agent_loop import register as register_with_verl
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from medix_r1.training.verl_plugin.patches.shared_images import SharedImages

NAME = "medix_single_turn"


class _Group:
    """What the rollouts of one prompt have in common; it lives as long as one of them."""

    def __init__(self) -> None:
        self._made: dict[str, asyncio.Task[Any]] = {}

    async def once(self, what: str, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What `make` returns, made for the first that asks; a rollout that is given up takes nothing from others."""
        if what not in self._made:
            self._made[what] = asyncio.create_task(make())
        return await asyncio.shield(self._made[what])


class SeededSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One question, one reply, one seed; images are read and the prompt is tokenised once a group.

    verl makes an object of this class for every rollout, and each would read and resize the same images, and run the
    image processor over them to learn how many tokens they take.
    """

    _groups: ClassVar[WeakValueDictionary[str, _Group]] = WeakValueDictionary()

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        """Generate one reply; `kwargs` are the row's columns plus verl's `uid` and `session_id`."""
        uid, session = rollout_identity(kwargs)
        # verl's own uid, as two validation rows may have one index; without any, each rollout is a group of its own.
        self._group = self._groups.setdefault(str(kwargs["uid"]), _Group()) if kwargs.get("uid") else _Group()
        seed = rollout_seed(self.rollout_config.seed, uid, session)
        return await super().run({**sampling_params, "seed": seed}, **kwargs)

    async def process_multi_modal_info(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Read the images of a prompt, or take those of another rollout of this group."""
        read = super().process_multi_modal_info

        async def make() -> dict[str, Any]:
            media = await read(messages)
            return {**media, "images": SharedImages(media["images"])} if media.get("images") else media

        return dict(await self._group.once("media", make))

    async def ct_build_initial_tokens(self, messages: list[dict[str, Any]], **media: Any) -> list[int]:
        """Tokenise the prompt, or take what another rollout of this group has."""
        build = super().ct_build_initial_tokens
        if media.get("videos"):  # a video's features are wanted as well
            return await build(messages, **media)
        return list(await self._group.once("tokens", lambda: build(messages, **media)))


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
