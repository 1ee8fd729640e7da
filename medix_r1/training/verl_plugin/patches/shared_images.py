"""The processor runs over a prompt's images once for all its rollouts, and what it makes of them is not stored.

Upstream: verl 0.9.1 runs the processor over the images of every rollout twice, once for the reward and once for the
update, although rollouts of a group differ only in the reply: ten times in a group of five. All run in one thread of
the agent-loop worker, while rollouts wait. Then it stores the features (94 MB for a picture of 4 megapixels) and the
chat with the picture's file and pixels, twice, with every rollout.

See it: docs/upstream/shared_images.py

Here: the agent loop gives all rollouts of a prompt one `SharedImages`, which caches the processor's output but for what
is made from pixels. The pixels are stored once a prompt (pictures.py), and stored_pictures.py makes features of them on
the rank. The stored chat has no pictures.

Goes when: the script counts one call for a group, and stored_pictures.py beside this file is gone.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import ray
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker

from medix_r1.training.verl_plugin import pictures
from medix_r1.training.verl_plugin.patches.replacing import replace_once

CHAT = "raw_prompt_ref"  # key of the row that is scored
PICTURES = "pictures"  # key of `multi_modal_inputs`, instead of the features
_OF_THE_TEXT = "mm_token_type_ids"  # as long as prompt and reply; for mRoPE models verl drops it and makes its own


class SharedImages(list[Any]):
    """The images of one prompt and the processor's output; both live as long as a rollout of the prompt.

    Attributes:
        key: uid of a training prompt, whose pixels are stored; empty for validation, which no rank looks at.
        keep_features: rollouts carry the features, as verl's own trainers need them.
    """

    key: str = ""
    keep_features: bool = False
    inputs: dict[str, Any] | None = None
    _stored: asyncio.Task[None] | None = None
    _chat: ray.ObjectRef[Any] | None = None
    _images: ray.ObjectRef[Any] | None = None

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)  # pickled without the cache, for vLLM

    def in_store(self) -> ray.ObjectRef[Any]:
        """The images in Ray's store, put there once; Ray gives vLLM the list itself.

        As arrays, which each of the group's requests reads where they lie; a PIL image would be copied for each.
        """
        if self._images is None:
            self._images = ray.put([np.asarray(image) for image in self] if pictures.storable(self) else self)
        return self._images

    def chat(self, messages: Any) -> ray.ObjectRef[Any]:
        """The chat with the pictures' files in Ray's store, put there once, for a reward that looks at pictures."""
        if self._chat is None:
            self._chat = ray.put(messages)
        return self._chat

    async def store(self) -> None:
        """Store the pixels of a training prompt, once; shielded, so that a cancelled rollout does not stop it."""
        if self.key and pictures.storable(self):
            if self._stored is None:
                self._stored = asyncio.create_task(pictures.put(self.key, self))
            await asyncio.shield(self._stored)


def install() -> None:
    """Wrap two methods of `AgentLoopWorker`; a second call does nothing."""
    replace_once(AgentLoopWorker, "_compute_multi_modal_inputs", _once_a_prompt)
    replace_once(AgentLoopWorker, "_compute_score", _pictures_apart)


def _once_a_prompt(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def compute(self: Any, output: Any, input_ids: Any) -> dict[str, Any]:
        media = output.multi_modal_data or {}
        images = media.get("images")
        if not isinstance(images, SharedImages) or media.get("videos") or media.get("audios"):
            made: dict[str, Any] = original(self, output, input_ids)
            return made
        if images.inputs is None:
            inputs = original(self, output, input_ids)
            if pictures.storable(images) and not images.keep_features:
                inputs = _without_features(inputs, images, self, output)
            if _OF_THE_TEXT in inputs and not hasattr(self.processor, "get_rope_index"):
                return dict(inputs)
            images.inputs = inputs
        return dict(images.inputs or {})  # a copy, because the caller removes entries

    return compute


def _without_features(inputs: dict[str, Any], images: SharedImages, worker: Any, output: Any) -> dict[str, Any]:
    features = tuple(name for name in inputs if name.startswith("pixel_"))
    rest = {name: value for name, value in inputs.items() if name not in features}
    if images.key and features:
        kwargs = output.mm_processor_kwargs
        if kwargs is None:
            kwargs = worker._get_mm_processor_kwargs(None)
        stored = pictures.StoredPictures(images.key, pictures.sizes(images), features, dict(kwargs or {}))
        rest[PICTURES] = stored.to_verl()
    return rest


def _pictures_apart(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def compute_score(self: Any, outputs: list[Any], kwargs: dict[str, Any]) -> None:
        """`kwargs` is the row: scored as it is but for the pictures, and stored by the caller afterwards."""
        images = (outputs[-1].multi_modal_data or {}).get("images")
        if not isinstance(images, SharedImages):
            await original(self, outputs, kwargs=kwargs)
            return
        chat = kwargs["raw_prompt"]
        kwargs["raw_prompt"] = without_pictures(chat)
        await original(self, outputs, kwargs={**kwargs, CHAT: images.chat(chat)})
        await images.store()

    return compute_score


def without_pictures(messages: Any) -> list[dict[str, Any]]:
    """A chat whose picture parts say only that there was one."""
    return [{**message, "content": _without_pictures(message["content"])} for message in messages]


def _without_pictures(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [{"type": "image"} if part.get("type") == "image" else part for part in content]
