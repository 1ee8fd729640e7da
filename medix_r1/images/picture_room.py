"""How many prompts with pictures are on their way to vLLM at one time; the others wait, and hold files alone.

verl hands all prompts of a step to vLLM at once. Each then holds its decoded pictures in the agent loop, and vLLM its
features in front end and engine, long before a sequence is free. With 64 prompts of one megapixel these were 7 GB.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig
from PIL import Image

GIB = 1024**3
CACHES = 4  # features in flight, as a multiple of vLLM's cache of them, for each replica
VLLMS_CACHE = 4.0  # GiB, where mm_processor_cache_gb is not set
BYTES_OF_A_PIXEL = 24  # in the model's features: three channels, two frames, float32
PREPARED_AT_ONCE = 2  # prompts whose pictures a worker decodes at one time, each with several copies in between


class PictureRoom:
    """Lets prompts in as long as their features have room; in the order in which they come.

    Attributes:
        preparing: held while a prompt's pictures are decoded or processed.
    """

    def __init__(self, size: float) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self.preparing = asyncio.Semaphore(PREPARED_AT_ONCE)

    async def enter(self, wanted: float) -> float:
        """Wait for room; returns what to give back. A prompt that is larger than all room comes in alone."""
        wanted = min(wanted, self._size)
        if self._waiting or wanted > self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, turn))
            await turn
        else:
            self._free -= wanted
        return wanted

    def leave(self, given: float) -> None:
        """Give room back, and let in who waits."""
        self._free += given
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.done():  # its run may be over
                self._free -= wanted
                turn.set_result(None)


def size_of_a_worker(config: DictConfig) -> float:
    """Bytes of features that one agent-loop worker may have in flight."""
    rollout, trainer = config.actor_rollout_ref.rollout, config.trainer
    replicas = max(1, trainer.nnodes * trainer.n_gpus_per_node // rollout.tensor_model_parallel_size)
    return in_flight(config) * int(replicas) / int(rollout.agent.num_workers)


def in_flight(config: DictConfig) -> float:
    """Bytes of features that one replica of vLLM may have in flight."""
    engine = (config.actor_rollout_ref.rollout.get("engine_kwargs") or {}).get("vllm") or {}
    cache = engine.get("mm_processor_cache_gb")
    return CACHES * GIB * float(cache or VLLMS_CACHE)


def features(messages: Iterable[Mapping[str, Any]]) -> float:
    """Bytes of the features of a chat's pictures, as large as their limit lets them be."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    return BYTES_OF_A_PIXEL * sum(_pixels(part) for part in parts if part.get("type") == "image")


def _pixels(part: Mapping[str, Any]) -> float:
    if part.get("bytes") is not None:
        width, height = Image.open(io.BytesIO(part["bytes"])).size  # of the header; nothing is decoded
    elif isinstance(part.get("image"), Image.Image):
        width, height = part["image"].size
    else:
        return 0.0
    return float(min(width * height, part.get("max_pixels") or float("inf")))
