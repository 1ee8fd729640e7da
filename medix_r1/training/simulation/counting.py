"""Counts the bytes of all tensors that live under FakeTensorMode: now, at most, and by what they are.

torch's own MemTracker does the same and more, and takes far longer on a model of billions of parameters.
"""

from __future__ import annotations

import functools
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LOGITS, GATHERED = "logits", "gathered layers"
_BLOCK = 512  # bytes; CUDA's allocator rounds up to it


@dataclass(frozen=True, slots=True)
class Peak:
    """Most bytes at one time, and what they were."""

    bytes: int
    parts: Mapping[str, int]


class LivingBytes(TorchDispatchMode):
    """Counts storages, each once, from the operator that makes them until nobody holds them.

    Storages that are made while `part` is set count as that part, tensors of a row of the vocabulary as logits. FSDP
    resizes storages to gather and to free parameters, which no operator shows, so `UntypedStorage.resize_` is watched.

    Args:
        vocabulary: size of the last dimension of logits.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.part = "activations"
        self._vocabulary = vocabulary
        self._sizes: dict[int, int] = {}
        self._parts: dict[int, str] = {}
        self._watchers: dict[int, Any] = {}
        self._now: Counter[str] = Counter()
        self._total = 0
        self._peak = Peak(0, {})

    def name(self, part: str, tensors: Iterator[torch.Tensor | None]) -> None:
        """Count these tensors as a part, known or not."""
        for tensor in tensors:
            if (storage := _storage(tensor)) is not None:
                self._see(storage, part)
                self._move(storage._cdata, part)

    def restart(self) -> None:
        """Forget the peak; it starts again from what lives now."""
        self._peak = Peak(self._total, dict(self._now))

    @property
    def now(self) -> Mapping[str, int]:
        return {part: size for part, size in self._now.items() if size}

    @property
    def peak(self) -> Peak:
        return Peak(self._peak.bytes, {part: size for part, size in self._peak.parts.items() if size})

    @contextmanager
    def counted_as(self, part: str) -> Iterator[None]:
        before, self.part = self.part, part
        try:
            yield
        finally:
            self.part = before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if (storage := _storage(leaf)) is not None:
                self._see(storage, LOGITS if leaf.ndim and leaf.shape[-1] == self._vocabulary else self.part)
        return out

    def __enter__(self) -> Any:
        resize = torch.UntypedStorage.resize_
        self._resize = resize

        def watched(storage: Any, size: int) -> Any:
            done = resize(storage, size)
            if storage._cdata in self._sizes:
                self._move(storage._cdata, GATHERED)
                self._set(storage._cdata, size)
            return done

        torch.UntypedStorage.resize_ = watched
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize
        super().__exit__(*raised)

    def _move(self, key: int, part: str) -> None:
        size = self._sizes[key]
        self._now[self._parts[key]] -= size
        self._parts[key] = part
        self._now[part] += size

    def _see(self, storage: Any, part: str) -> None:
        key = storage._cdata
        if key in self._sizes:
            return
        self._watchers[key] = weakref.ref(storage, functools.partial(self._gone, key))
        self._parts[key] = part
        self._set(key, storage.size())

    def _set(self, key: int, size: int) -> None:
        size = -(-size // _BLOCK) * _BLOCK
        grown = size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self._now[self._parts[key]] += grown
        self._total += grown
        if self._total > self._peak.bytes:
            self._peak = Peak(self._total, dict(self._now))

    def _gone(self, key: int, _: Any) -> None:
        size = self._sizes.pop(key, 0)
        self._now[self._parts.pop(key)] -= size
        self._total -= size
        self._watchers.pop(key, None)


def _storage(tensor: Any) -> Any:
    """The storage of a fake tensor, of this rank's shard for a DTensor; None for anything else."""
    if isinstance(tensor, DTensor):
        tensor = tensor._local_tensor
    if type(tensor).__name__ == "AsyncCollectiveTensor":
        tensor = tensor.elem
    if not isinstance(tensor, torch.Tensor) or not hasattr(tensor, "fake_mode"):
        return None
    return tensor.untyped_storage()
