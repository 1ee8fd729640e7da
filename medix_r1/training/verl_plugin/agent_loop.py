"""verl's single-turn agent loop, with a seed for each rollout if asked and the prompt prepared once a prompt group.

With a seed of its own (`rollout.seeding=rollout`), a rollout's reply depends on question, rollout number and weights,
not on the rest of the batch. So a resumed run can be compared with an uninterrupted one. vLLM draws for seeded requests
one by one, which takes time at every token. With `none` it draws from the engine's own generator.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from verl.experimental.agent_loop.agent_loop import register as register_with_verl
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from medix_r1.images import picture_room
from medix_r1.images.picture_room import PictureRoom
from medix_r1.training.verl_plugin.patches.picture_files import opened
from medix_r1.training.verl_plugin.patches.shared_images import SharedImages
from medix_r1.training.verl_plugin.request_ids import request_id as group_request_id

NAME = "medix_single_turn"


class _PromptGroup:
    """Results that the rollouts of one prompt share; they live as long as one of these rollouts."""

    def __init__(self) -> None:
        self._made: dict[str, asyncio.Task[Any]] = {}
        self._room: PictureRoom | None = None
        self._taken = 0.0
        self.rollouts = 0  # rollouts that have not ended

    async def enter(self, room: PictureRoom, wanted: float) -> None:
        """Wait until there is room for the group's pictures."""
        self._taken = await room.enter(wanted)
        self._room = room
        self._leave()  # if all rollouts were cancelled meanwhile

    def done(self) -> None:
        """One rollout is over; after the last one the pictures' room is free."""
        self.rollouts -= 1
        self._leave()

    def _leave(self) -> None:
        if self.rollouts <= 0 and self._room is not None:
            self._room.leave(self._taken)
            self._room = None

    async def once(self, what: str, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run `make` once per group; shielded, so cancelling one rollout does not cancel it for others."""
        if what not in self._made:
            self._made[what] = asyncio.create_task(make())
        return await asyncio.shield(self._made[what])


class _OfAGroup:
    """verl's client of vLLM; requests name their group, whose pictures are put into Ray's store once."""

    def __init__(self, client: Any, group: str) -> None:
        self._client, self._group = client, group

    async def generate(self, *, request_id: str, image_data: Any = None, **request: Any) -> Any:
        if self._group:
            request_id = group_request_id(self._group, request_id)
        if isinstance(image_data, SharedImages):
            image_data = image_data.in_store()
        return await self._client.generate(request_id=request_id, image_data=image_data, **request)


class SeededSingleTurnAgentLoop(SingleTurnAgentLoop):
    """One question, one reply; images are read and the prompt is tokenised once a group.

    verl makes an object of this class for every rollout. Without sharing, each would read and resize the same images,
    and run the image processor to count their tokens.
    """

    _groups: ClassVar[WeakValueDictionary[str, _PromptGroup]] = WeakValueDictionary()
    _rooms: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, PictureRoom]] = WeakKeyDictionary()

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        """Generate one reply; `kwargs` are the row's columns plus verl's `uid` and `session_id`."""
        uid, session = rollout_identity(kwargs)
        self._stored_as = uid if uid == kwargs.get("uid") else ""  # validation rows are not trained on
        # Keyed by verl's uid, because two validation rows may have the same index. Without a uid, nothing is shared.
        self._group = (
            self._groups.setdefault(str(kwargs["uid"]), _PromptGroup()) if kwargs.get("uid") else _PromptGroup()
        )
        self.server_manager: Any = _OfAGroup(self.server_manager, str(kwargs.get("uid") or ""))
        if self.config.rollout.seeding == "rollout":
            sampling_params = {**sampling_params, "seed": rollout_seed(self.rollout_config.seed, uid, session)}
        self._group.rollouts += 1
        try:
            return await super().run(sampling_params, **kwargs)
        finally:
            self._group.done()

    def _room(self) -> PictureRoom:
        """The worker's; one for each event loop, and a worker has one."""
        loop = asyncio.get_running_loop()
        if loop not in self._rooms:
            self._rooms[loop] = PictureRoom(picture_room.size_of_a_worker(self.config))
        return self._rooms[loop]

    async def process_multi_modal_info(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Read the images of the prompt, once a group."""
        read = super().process_multi_modal_info

        async def make() -> dict[str, Any]:
            room = self._room()
            if wanted := picture_room.features(messages):
                await self._group.enter(room, wanted)
            async with room.preparing:
                media = await read(opened(messages))
            if media.get("images"):
                media["images"] = SharedImages(media["images"])
                media["images"].key = self._stored_as
                media["images"].keep_features = not self._is_our_trainer()
            return media

        return dict(await self._group.once("media", make))

    def _is_our_trainer(self) -> bool:
        """Whether prompts have names of ours and stored pictures are deleted; verl's own trainers do neither."""
        return str(self.config.trainer.v1.trainer_mode).startswith("medix_")

    async def ct_build_initial_tokens(self, messages: list[dict[str, Any]], **media: Any) -> list[int]:
        """Tokenise the prompt, once a group."""
        build = super().ct_build_initial_tokens
        if media.get("videos"):  # verl then also fills `mm_inputs_out`, which is not shared
            return await build(messages, **media)

        async def make() -> Any:
            async with self._room().preparing:
                return await build(messages, **media)

        return list(await self._group.once("tokens", make))


def rollout_identity(row: dict[str, Any]) -> tuple[str, int]:
    """(uid, number) of a rollout, equal in every run; the uid is our trainer's, or names a validation row."""
    uid = str(row.get("uid", ""))
    if not uid.startswith("step"):  # verl gives validation rows a random uid
        uid = f"validation-{row.get('data_source')}-{row.get('index')}"
    return uid, int(row.get("session_id", 0))


def rollout_seed(run_seed: int, uid: str, session: int) -> int:
    """A sampling seed in [0, 2**31), from SHA-256 of the arguments."""
    digest = hashlib.sha256(f"{run_seed}/{uid}/{session}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def register() -> None:
    """Make the loop known to verl as `actor_rollout_ref.rollout.agent.default_agent_loop=medix_single_turn`."""
    register_with_verl(NAME)(SeededSingleTurnAgentLoop)
