"""Streams safetensors files, one tensor at a time.

The safetensors library needs all tensors of a file in memory. The format (https://huggingface.co/docs/safetensors) is
an 8-byte length, a JSON header with every tensor's offsets, then the data. So the header is written first and each
tensor at its offset later, in any order. A test loads the result with the library.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from huggingface_hub import split_state_dict_into_shards_factory

from medix_r1.errors import CheckpointError

INDEX = "model.safetensors.index.json"
_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8
_CAST = 32 * 1024 * 1024  # elements cast at a time


@dataclass(frozen=True, slots=True)
class Entry:
    """Dtype and shape of a tensor that will be written."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


@dataclass(frozen=True, slots=True)
class _Place:
    file: BinaryIO
    offset: int
    entry: Entry


class Writer:
    """The open files of one model, used in a `with` block, which must write every tensor.

    Raises:
        CheckpointError: at the end of the block, a tensor was not written.
    """

    def __init__(
        self,
        folder: Path,
        entries: Mapping[str, Entry],
        *,
        name: str = "model",
        shard_size: int,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Assign tensors to files.

        Raises:
            CheckpointError: safetensors has no name for a dtype.

        Args:
            folder: an existing folder.
            entries: the tensors, by name.
            name: `model` or `adapter_model`.
            shard_size: maximal bytes of tensors in a file; a larger tensor gets a file of its own.
            advance: called with the number of bytes written.
        """
        if odd := [f"{key} ({entry.dtype})" for key, entry in entries.items() if entry.dtype not in _NAMES]:
            raise CheckpointError(f"of a dtype that is not stored: {', '.join(odd[:10])}", code="dtype-not-stored")
        self._folder, self._entries, self._name, self._advance = folder, entries, name, advance
        self._split = split_state_dict_into_shards_factory(
            dict(entries),
            get_storage_size=lambda entry: entry.size,
            filename_pattern=f"{name}{{suffix}}.safetensors",
            max_shard_size=shard_size,
        )
        self._places: dict[str, _Place] = {}
        self._unwritten = set(entries)
        self._files = ExitStack()

    def __enter__(self) -> Writer:
        with ExitStack() as opening:
            for file_name, names in self._split.filename_to_tensors.items():
                self._begin(opening.enter_context((self._folder / file_name).open("wb")), names)
            self._files = opening.pop_all()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._files:
            if kind is not None:
                return
            if self._unwritten:
                raise CheckpointError(
                    f"{self._folder}: never written: {', '.join(sorted(self._unwritten))}", code="never-written"
                )
            for file in {place.file for place in self._places.values()}:
                file.flush()
                os.fsync(file.fileno())
        self._write_index()

    def write(self, name: str, blocks: Iterable[torch.Tensor]) -> None:
        """Write one tensor, given as consecutive blocks, cast to its entry's dtype.

        Raises:
            CheckpointError: the blocks have another size, a value is not finite, or one overflows float16.
        """
        place = self._places[name]
        place.file.seek(place.offset)
        written = 0
        for block in blocks:
            for part in block.reshape(-1).split(_CAST):
                data = _cast(name, part, place.entry.dtype).view(torch.uint8).numpy()
                place.file.write(data)
                written += data.nbytes
                self._advance(data.nbytes)
        if written != place.entry.size:
            raise CheckpointError(f"{name}: {written} bytes came instead of {place.entry.size}", code="wrong-size")
        self._unwritten.discard(name)

    def _begin(self, file: BinaryIO, names: Iterable[str]) -> None:
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        offset, offsets = 0, {}
        # Wide dtypes first, like the library, so that every tensor is aligned.
        for name in sorted(names, key=lambda name: (-self._entries[name].dtype.itemsize, name)):
            entry = self._entries[name]
            offsets[name] = offset
            header[name] = {
                "dtype": _NAMES[entry.dtype],
                "shape": list(entry.shape),
                "data_offsets": [offset, offset + entry.size],
            }
            offset += entry.size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        file.write(len(text).to_bytes(8, "little") + text)
        for name, start in offsets.items():
            self._places[name] = _Place(file, 8 + len(text) + start, self._entries[name])

    def _write_index(self) -> None:
        if not self._split.is_sharded:
            return
        count = sum(math.prod(entry.shape) for entry in self._entries.values())
        metadata = {"total_parameters": count, "total_size": sum(entry.size for entry in self._entries.values())}
        index = {"metadata": metadata, "weight_map": dict(sorted(self._split.tensor_to_filename.items()))}
        (self._folder / f"{self._name}.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", "utf-8")


def _cast(name: str, part: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if part.is_floating_point() and part.numel() and not _is_finite(part):
        raise CheckpointError(
            f"{name} holds NaN or infinity: training diverged, or the file is damaged; merge an earlier checkpoint",
            code="not-finite",
        )
    cast = part.to(dtype)
    if dtype is torch.float16 and part.dtype is not dtype and bool(cast.isinf().any()):
        raise CheckpointError(f"{name} holds values that float16 cannot; choose --dtype bf16", code="overflows-float16")
    return cast


def _is_finite(part: torch.Tensor) -> bool:
    wide = part if part.dtype.itemsize > 1 else part.float()  # torch has no minimum of 8-bit floats
    return bool(torch.stack(torch.aminmax(wide)).isfinite().all())
