"""Finds near-duplicate images by the Hamming distance of their 64-bit perceptual hashes.

The index is faiss' multi-index hash (Norouzi et al. 2012). It cuts a hash into bands: two hashes that differ in at most
`distance` bits agree in at least one of `distance + 1` bands. So the search is exact without comparing all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

BITS = 64
_MAX_DISTANCE = 7  # eight bands of eight bits; with more bands, buckets are too full to save work
_QUERIES = 4096  # of one search, which bounds the memory of its results
Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Query `queries[i]` is `distances[i]` bits away from indexed hash `found[i]` (positions); shapes (pairs,)."""

    queries: np.ndarray[Any, np.dtype[np.int64]]
    found: np.ndarray[Any, np.dtype[np.int64]]
    distances: np.ndarray[Any, np.dtype[np.int64]]


class NearIndex:
    """An index over perceptual hashes."""

    def __init__(self, hashes: Hashes, distance: int) -> None:
        """Build the index.

        Args:
            hashes: shape (n,).
            distance: most bits in which near hashes differ, 0 to 7.

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
        # faiss may or may not include hashes at exactly the radius: search one bit further and filter
        limits, distances, labels = self._index.range_search(_bytes(hashes), self._distance + 1)
        queries = np.repeat(np.arange(start, start + len(hashes)), np.diff(limits).astype(np.int64))
        near = distances <= self._distance
        return queries[near], labels[near].astype(np.int64), distances[near].astype(np.int64)


def _bytes(hashes: Hashes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ascontiguousarray(hashes.astype("<u8")).view(np.uint8).reshape(-1, BITS // 8)
