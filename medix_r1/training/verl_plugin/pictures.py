"""Pictures of training prompts in TransferQueue: stored once a prompt, as the resized pixels, and read by FSDP ranks.

A rollout carries a `StoredPictures` in place of the model's pixel features, which are eight times as large (floats, and
each picture twice for a vision tower that looks at pairs of frames). The rank makes the features where it uses them,
with the model's own processor, so they are those that verl would have sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
import transfer_queue as tq
from cachetools import LRUCache
from PIL import Image
from tensordict import TensorDict
from verl.utils.tokenizer import build_multimodal_processor_inputs

PARTITION = "pictures"
_FIELD = "pixels"
CACHED_BYTES = 4 * 2**30  # a rank's share of a step: 320 pictures of 4 megapixels. Evicted ones are fetched again.

Features: TypeAlias = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class StoredPictures:
    """What a rollout carries for the pictures of its prompt."""

    key: str  # the prompt's uid, which names the pixels in TransferQueue
    sizes: tuple[tuple[int, int], ...]  # (height, width) of each picture
    features: tuple[str, ...]  # the processor's outputs that are made from pixels
    processor_kwargs: Mapping[str, Any]

    def to_verl(self) -> dict[str, Any]:
        """What passes TransferQueue, which keeps no class."""
        return asdict(self)

    @classmethod
    def from_verl(cls, stored: Mapping[str, Any]) -> StoredPictures:
        """What `to_verl` made, as TransferQueue gives it back: tuples are lists."""
        sizes = tuple((height, width) for height, width in stored["sizes"])
        return cls(stored["key"], sizes, tuple(stored["features"]), stored["processor_kwargs"])

    @property
    def pixels(self) -> int:
        """Bytes of all pictures: three a pixel."""
        return sum(3 * height * width for height, width in self.sizes)


def storable(images: Sequence[Any]) -> bool:
    """Whether the bytes of the pixels are all there is to these pictures."""
    return all(isinstance(image, Image.Image) and image.mode == "RGB" for image in images)


def sizes(images: Sequence[Image.Image]) -> tuple[tuple[int, int], ...]:
    """(height, width) of each picture."""
    return tuple((image.height, image.width) for image in images)


async def put(key: str, images: Sequence[Image.Image]) -> None:
    """Store the pixels of a prompt's pictures, one after the other, as uint8 [sum of 3 * height * width]."""
    flat = torch.from_numpy(np.concatenate([np.asarray(image).reshape(-1) for image in images]))
    fields = TensorDict({_FIELD: flat.unsqueeze(0)}, batch_size=1)
    await tq.async_kv_batch_put(keys=[key], partition_id=PARTITION, fields=fields, tags=[{"is_picture": True}])


def clear(kept: Collection[str]) -> None:
    """Delete the pictures of all prompts but those with a uid in `kept`."""
    stored = (tq.kv_list(PARTITION) or {}).get(PARTITION, {})
    unused = [key for key in stored if key not in kept]
    if unused:
        tq.kv_clear(keys=unused, partition_id=PARTITION)


class PictureReader:
    """Makes the features of stored pictures; keeps the pixels of those fetched last."""

    def __init__(self, processor: Any, cached_bytes: int = CACHED_BYTES) -> None:
        self._processor = processor
        self._pixels: LRUCache[str, torch.Tensor] = LRUCache(cached_bytes, getsizeof=torch.Tensor.numel)

    def features(self, wanted: Iterable[StoredPictures]) -> dict[str, Features]:
        """Key → features of each prompt's pictures; those not at hand are fetched in one request."""
        prompts = {stored.key: stored for stored in wanted}
        pixels = self.fetch(prompts)
        return {key: self._features(stored, pixels[key]) for key, stored in prompts.items()}

    def fetch(self, prompts: Mapping[str, StoredPictures]) -> dict[str, torch.Tensor]:
        """Key → pixels of each prompt's pictures, as `put` stored them."""
        pixels = {key: self._pixels[key] for key in prompts if key in self._pixels}
        missing = [key for key in prompts if key not in pixels]
        if missing:
            found = tq.kv_batch_get(keys=missing, partition_id=PARTITION, select_fields=[_FIELD])[_FIELD]
            for key, row in zip(missing, found.unbind(), strict=True):
                pixels[key] = row
                if prompts[key].pixels <= self._pixels.maxsize:
                    self._pixels[key] = row
        return pixels

    def features_of_others(self, pairs: Mapping[str, tuple[StoredPictures, StoredPictures]]) -> dict[str, Features]:
        """Key → features of another prompt's pictures at the sizes of its own; (own, other) by key.

        A prompt with more pictures than the other one gets its pictures in turn.
        """
        pixels = self.fetch({other.key: other for _, other in pairs.values()})
        return {
            key: self._made_of(own, _in_place(own, other, pixels[other.key])) for key, (own, other) in pairs.items()
        }

    def _features(self, stored: StoredPictures, pixels: torch.Tensor) -> Features:
        return self._made_of(stored, _images(pixels.numpy(), stored.sizes))

    def _made_of(self, stored: StoredPictures, images: Sequence[Image.Image]) -> Features:
        made = build_multimodal_processor_inputs(
            self._processor,
            text=[self._processor.image_token * len(stored.sizes)],
            images=list(images),
            mm_processor_kwargs=stored.processor_kwargs,
        )
        return {name: torch.as_tensor(made[name]) for name in stored.features}


def _images(flat: np.ndarray[Any, np.dtype[np.uint8]], sizes: Sequence[tuple[int, int]]) -> list[Image.Image]:
    ends = itertools.accumulate(3 * height * width for height, width in sizes)
    parts = np.split(flat, list(ends)[:-1])
    return [Image.fromarray(part.reshape(*size, 3)) for part, size in zip(parts, sizes, strict=True)]


def _in_place(own: StoredPictures, other: StoredPictures, pixels: torch.Tensor) -> list[Image.Image]:
    images = itertools.cycle(_images(pixels.numpy(), other.sizes))
    return [image.resize((width, height)) for (height, width), image in zip(own.sizes, images, strict=False)]
