"""Which rows are kept, and on which side of the split each stands; decided from the index, without any picture.

Rows that share an image, or have nearly equal ones, form a group, and so do text-only rows that ask the same. A group
is never split, so nothing held out has been seen in training under another question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from medix_r1.data.near import NearIndex

_NEEDED = ["row_key", "text_key", "images.list.element.sha256", "images.list.element.phash"]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Split:
    """One entry a staged row, in order: kept or merged, held out or not, and the number of its group."""

    kept: Array
    held_out: Array
    group: Array

    @property
    def merged(self) -> int:
        """Rows that say exactly what an earlier row says."""
        return int((~self.kept).sum())

    @property
    def num_groups(self) -> int:
        return len(np.unique(self.group[self.kept])) if self.kept.any() else 0

    @property
    def largest_group(self) -> int:
        return int(np.unique(self.group[self.kept], return_counts=True)[1].max()) if self.kept.any() else 0


def split_rows(index_files: Iterable[Path], *, share: float, seed: int, near_distance: int) -> Split:
    """Merge exact duplicates and hold out whole groups.

    Args:
        index_files: the index of each unit, in order.
        share: of the groups that is held out, 0 to 1; the same group falls on the same side on every run.
        seed: gives another choice.
        near_distance: bits in which the perceptual hashes of nearly equal pictures may differ.
    """
    table = pa.concat_tables([pq.ParquetFile(path).read(columns=_NEEDED) for path in index_files])
    rows = len(table)
    if rows == 0:
        return Split(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, np.int64))
    kept = np.zeros(rows, bool)
    kept[np.unique(_codes(table["row_key"]), return_index=True)[1]] = True

    group = _groups(table, rows, near_distance)
    first = np.unique(group, return_index=True)[1]  # a group is named by its first row
    names = _group_names(table.take(pa.array(first)))
    held = np.array([_fraction(name, seed) < share for name in names], bool)
    return Split(kept, held[group], group)


def _groups(table: pa.Table, rows: int, near_distance: int) -> Array:
    """Connected components of rows, their images, and (for rows without images) their questions."""
    images = table["images"].combine_chunks()
    lengths = np.asarray(images.value_lengths().fill_null(0))
    row_of_image = np.repeat(np.arange(rows), lengths)
    flat = images.flatten()
    image_codes = _codes(flat.field("sha256"))
    num_images = int(image_codes.max()) + 1 if len(image_codes) else 0
    text_rows = np.flatnonzero(lengths == 0)
    text_codes = _codes(table["text_key"])
    edges = [
        (row_of_image, rows + image_codes),
        (text_rows, rows + num_images + text_codes[text_rows]),
    ]
    if num_images:
        first = np.unique(image_codes, return_index=True)[1]
        edges.append(_near_edges(np.asarray(flat.field("phash"))[first], rows, near_distance))
    starts, ends = (np.concatenate(side) for side in zip(*edges, strict=True))
    nodes = rows + num_images + int(text_codes.max()) + 1
    graph = coo_matrix((np.ones(len(starts), np.int8), (starts, ends)), shape=(nodes, nodes))
    labels = connected_components(graph, directed=False)[1][:rows]
    return np.unique(labels, return_inverse=True)[1]


def _near_edges(hashes: Array, rows: int, near_distance: int) -> tuple[Array, Array]:
    """Edges between image nodes whose hashes are near; equal hashes are first joined to one of them."""
    unique, first, codes = np.unique(hashes, return_index=True, return_inverse=True)
    pairs = NearIndex(unique, near_distance).search(unique)
    once = pairs.queries < pairs.found
    return (
        np.concatenate([rows + np.arange(len(hashes)), rows + first[pairs.queries[once]]]),
        np.concatenate([rows + first[codes], rows + first[pairs.found[once]]]),
    )


def _group_names(table: pa.Table) -> list[bytes]:
    images = table["images"].to_pylist()
    texts = table["text_key"].to_pylist()
    return [pictures[0]["sha256"].encode() if pictures else text for pictures, text in zip(images, texts, strict=True)]


def _fraction(name: bytes, seed: int) -> float:
    digest = hashlib.blake2b(name, digest_size=8, salt=seed.to_bytes(16, "big")).digest()
    return int.from_bytes(digest, "big") / 2**64


def _codes(column: Any) -> Array:
    """Equal values get equal small numbers."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(array.dictionary_encode().indices).astype(np.int64)
