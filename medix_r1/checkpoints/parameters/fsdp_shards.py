"""Reads verl's FSDP shards, one file for each rank, as whole parameters.

A shard is a pickle. torch's restricted unpickler (`weights_only`) builds only tensors, DTensors and device meshes from
it. The file is memory-mapped, so bytes are read only when a parameter is.
"""

from __future__ import annotations

import ctypes
import logging
import math
import mmap
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Replicate, Shard

from medix_r1.errors import CheckpointError

Region = tuple[slice, ...]
_UNSUPPORTED = re.compile(r"unsupported .*", re.IGNORECASE)  # of torch's message, on one line
_LISTED = 10  # names in one message
_MADV_DONTNEED = 4  # Linux


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of a parameter and its region in the parameter."""

    region: Region
    tensor: torch.Tensor


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter or buffer of the trained model, memory-mapped."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    pieces: tuple[Piece, ...]

    def read(self) -> torch.Tensor:
        """Copy the whole tensor into memory."""
        whole = torch.empty(self.shape, dtype=self.dtype)
        for piece in self.pieces:
            whole[piece.region].copy_(piece.tensor)
        self.drop_pages()
        return whole

    def blocks(self) -> Iterator[torch.Tensor]:
        """The tensor in consecutive blocks, without a copy if each rank holds consecutive rows."""
        if not self._is_rows():
            yield self.read()
            return
        for piece in self.pieces:
            yield piece.tensor
            _drop_pages(piece.tensor)

    def drop_pages(self) -> None:
        """Release the mapped pages, so that resident memory does not grow with every parameter read."""
        for piece in self.pieces:
            _drop_pages(piece.tensor)

    def _is_rows(self) -> bool:
        rows = 0
        for piece in self.pieces:
            full = all(part == slice(0, size) for part, size in zip(piece.region[1:], self.shape[1:], strict=True))
            if not piece.tensor.is_contiguous() or not full or (piece.region and piece.region[0].start != rows):
                return False
            rows = piece.region[0].stop if piece.region else 0
        return True


def open_shards(actor: Path, ranks: int) -> dict[str, Parameter]:
    """Map the shards of a checkpoint and find the region of every parameter's pieces.

    Args:
        actor: `global_step_N/actor`.
        ranks: number of processes that saved it.

    Raises:
        CheckpointError: a shard is not a plain state dict (damaged or malicious), or shards are inconsistent.
    """
    files = [_load(actor / f"model_world_size_{ranks}_rank_{rank}.pt") for rank in range(ranks)]
    for rank, file in enumerate(files):
        if odd := sorted(file.keys() ^ files[0].keys()):
            raise CheckpointError(
                f"{actor}: rank {rank} and rank 0 hold different parameters: {listed(odd)}", code="ranks-differ"
            )
    parameters, problems = {}, []
    for name in files[0]:
        try:
            parameters[name] = _parameter(name, [file[name] for file in files])
        except CheckpointError as error:
            problems.append(str(error))
    if problems:
        raise CheckpointError(f"{actor}: {'; '.join(problems[:_LISTED])}", code="shards-do-not-fit")
    return parameters


def listed(names: Sequence[str]) -> str:
    """The first names, and the number of the others, for a message."""
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _load(path: Path) -> Mapping[str, torch.Tensor]:
    # Unpickling a device mesh warns of missing process groups, which are not needed here.
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)
    _check_stored(path)
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        asked = _UNSUPPORTED.search(str(error))
        reason = f" ({asked[0][:200]})" if asked else ""
        raise CheckpointError(
            f"{path} is refused: it holds more than tensors{reason}", code="shard-holds-code"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {str(error).splitlines()[0][:200]}", code="shard-unreadable"
        ) from None
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path} is refused: not a state dict", code="shard-not-a-state-dict")
    for name, value in content.items():
        if not isinstance(name, str) or not name.isprintable() or not isinstance(value, torch.Tensor):
            raise CheckpointError(
                f"{path} is refused: {name!r} is a {type(value).__name__}, not a tensor", code="shard-holds-no-tensor"
            )
        if not _is_plain(value):
            raise CheckpointError(
                f"{path} is refused: {name} is not stored in it as plain bytes", code="shard-not-plain"
            )
    if _madvise is not None:
        _check_mapped(path, content)
    return content


def _check_stored(path: Path) -> None:
    """Check that a shard is a zip archive without compression; torch maps compressed parts as if they were not."""
    try:
        with zipfile.ZipFile(path) as archive:
            compressed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} cannot be read: {error}", code="shard-unreadable") from None
    if compressed:
        raise CheckpointError(f"{path} cannot be read: torch saves no compressed parts", code="shard-unreadable")


def _is_plain(value: torch.Tensor) -> bool:
    """Whether a tensor, or a DTensor's part, has its numbers in memory; sparse, quantised and meta tensors have not."""
    local = value._local_tensor if isinstance(value, DTensor) else value
    return local.layout is torch.strided and local.device.type == "cpu" and not local.is_quantized


def _check_mapped(path: Path, content: Mapping[str, torch.Tensor]) -> None:
    """Check that every tensor is in the mapped file, because `_drop_pages` would zero any other memory."""
    lines = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    places = [line[0].split("-") for line in lines if len(line) == 6 and line[5] == str(path.resolve())]
    ranges = [(int(start, 16), int(end, 16)) for start, end in places]
    for name, value in content.items():
        local = value._local_tensor if isinstance(value, DTensor) else value
        first, last = local.data_ptr(), local.data_ptr() + local.nbytes
        if local.nbytes and not any(start <= first and last <= end for start, end in ranges):
            raise CheckpointError(
                f"{path} is refused: {name} is not stored in it as plain bytes", code="shard-not-plain"
            )


def _parameter(name: str, values: Sequence[torch.Tensor]) -> Parameter:
    first = values[0]
    shape, dtype = tuple(first.shape), first.dtype
    if any(tuple(value.shape) != shape or value.dtype != dtype for value in values):
        raise CheckpointError(f"{name}: shape or dtype differs between ranks", code="ranks-differ")
    if not isinstance(first, DTensor):
        return _plain(name, values)
    mesh, placements = first.device_mesh.mesh, tuple(first.placements)
    if mesh.numel() != len(values) or sorted(mesh.flatten().tolist()) != list(range(len(values))):
        raise CheckpointError(
            f"{name}: its device mesh {mesh.tolist()} is not that of {len(values)} ranks", code="mesh-of-other-ranks"
        )
    pieces = []
    for rank, value in enumerate(values):
        if not isinstance(value, DTensor) or tuple(value.placements) != placements:
            raise CheckpointError(f"{name}: placements differ between ranks", code="ranks-differ")
        coordinate = (mesh == rank).nonzero()[0].tolist()
        region = _region(name, shape, mesh.shape, coordinate, placements)
        local = value._local_tensor
        if region is None:  # a replica of another rank's piece
            continue
        if tuple(local.shape) != tuple(part.stop - part.start for part in region):
            raise CheckpointError(
                f"{name}: rank {rank} holds {tuple(local.shape)}, which is not its part of {shape}", code="not-its-part"
            )
        pieces.append(Piece(region, local))
    pieces.sort(key=lambda piece: [part.start for part in piece.region])
    return Parameter(name, shape, dtype, tuple(pieces))


def _plain(name: str, values: Sequence[torch.Tensor]) -> Parameter:
    """A tensor that every rank holds whole: FSDP1 on one rank, buffers, unwrapped parameters."""
    for rank, value in enumerate(values[1:], start=1):
        if isinstance(value, DTensor) or not torch.equal(value, values[0]):
            raise CheckpointError(f"{name}: not sharded, and yet rank {rank} differs from rank 0", code="ranks-differ")
        _drop_pages(value)
    whole = tuple(slice(0, size) for size in values[0].shape)
    return Parameter(name, tuple(values[0].shape), values[0].dtype, (Piece(whole, values[0]),))


def _region(
    name: str, shape: Sequence[int], mesh: Sequence[int], coordinate: Sequence[int], placements: Sequence[Any]
) -> Region | None:
    """The region of a rank's piece; None if an earlier rank holds the same piece.

    Each mesh dimension splits the region left by the previous ones, as `torch.chunk` does.
    """
    region, is_first = [slice(0, size) for size in shape], True
    for size, position, placement in zip(mesh, coordinate, placements, strict=True):
        if type(placement) is Replicate:
            is_first &= position == 0
        elif type(placement) is Shard:
            part = region[placement.dim]
            step = math.ceil((part.stop - part.start) / size)
            start = min(part.start + position * step, part.stop)
            region[placement.dim] = slice(start, min(start + step, part.stop))
        else:
            raise CheckpointError(
                f"{name}: placement {placement} is not one that FSDP makes; it cannot be merged",
                code="unknown-placement",
            )
    return tuple(region) if is_first else None


def _drop_pages(tensor: torch.Tensor) -> None:
    """Release the pages of a mapped tensor (MADV_DONTNEED); a later read takes them from the page cache or disk."""
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if _madvise is not None and tensor.is_contiguous() and end > start:
        _madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


_madvise = ctypes.CDLL(None).madvise if sys.platform == "linux" else None
