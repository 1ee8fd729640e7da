"""Finds equal and nearly equal pictures by their 64-bit perceptual hashes, with an index instead of all pairs.

The index is faiss' multi-index hash (Norouzi et al. 2012): a hash is cut into bands, and two hashes that differ in at
most `distance` bits agree in at least one of `distance + 1` bands. So nothing within the distance is missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

BITS = 64
_MAX_DISTANCE = 7  # eight bands of eight bits; beyond, buckets are too full to be an index
_QUERIES = 4096  # hashes asked about at a time, which bounds the memory of the answers
Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """`queries[i]` is `distances[i]` bits away from `found[i]` (positions in the two arrays)."""

    queries: np.ndarray[Any, np.dtype[np.int64]]
    found: np.ndarray[Any, np.dtype[np.int64]]
    distances: np.ndarray[Any, np.dtype[np.int64]]


class NearIndex:
    """An index over perceptual hashes."""

    def __init__(self, hashes: Hashes, distance: int) -> None:
        """Build it.

        Args:
            hashes: shape (n,).
            distance: bits that may differ, 0 to 7.

        Raises:
            ValueError: the distance is out of range.
        """
        if not 0 <= distance <= _MAX_DISTANCE:
            raise ValueError(f"distance {distance} is not within 0..{_MAX_DISTANCE}")
        bands = max(2, distance + 1)
        self._distance = distance
        self._index = faiss.IndexBinaryMultiHash(BITS, bands, min(BITS // bands, 24))
        self._index.nflip = 0
        if len(hashes):
            self._index.add(_bytes(hashes))

    def search(self, hashes: Hashes) -> Pairs:
        """All pairs of a query and an indexed hash within the distance."""
        parts = [self._search(hashes[start : start + _QUERIES], start) for start in range(0, len(hashes), _QUERIES)]
        if not parts:
            return Pairs(*(np.zeros(0, np.int64) for _ in range(3)))
        joined = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Pairs(*joined)

    def _search(self, hashes: Hashes, start: int) -> tuple[np.ndarray[Any, Any], ...]:
        # faiss keeps what is nearer than the radius, or as near: ask for one more and cut exactly
        limits, distances, labels = self._index.range_search(_bytes(hashes), self._distance + 1)
        queries = np.repeat(np.arange(start, start + len(hashes)), np.diff(limits).astype(np.int64))
        near = distances <= self._distance
        return queries[near], labels[near].astype(np.int64), distances[near].astype(np.int64)


def _bytes(hashes: Hashes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ascontiguousarray(hashes.astype("<u8")).view(np.uint8).reshape(-1, BITS // 8)
