"""Deduplicates rows and splits them into training and validation, from the index alone.

Rows that share an image or have near-duplicate images form a group, and so do text-only rows with the same question. A
group is never split, so no validation image was seen in training with another question.
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
    """The split, with one entry for each staged row in order; all arrays have shape (rows,).

    Attributes:
        kept: False for exact duplicates of an earlier row.
        held_out: True for validation.
        group: number of the row's group.
    """

    kept: Array
    held_out: Array
    group: Array

    @property
    def merged(self) -> int:
        """Number of exact duplicates of an earlier row."""
        return int((~self.kept).sum())

    @property
    def num_groups(self) -> int:
        return len(np.unique(self.group[self.kept])) if self.kept.any() else 0

    @property
    def largest_group(self) -> int:
        return int(np.unique(self.group[self.kept], return_counts=True)[1].max()) if self.kept.any() else 0


def split_rows(index_files: Iterable[Path], *, share: float, seed: int, near_distance: int) -> Split:
    """Drop exact duplicates and hold out whole groups.

    Args:
        index_files: the index of each unit, in order.
        share: of the groups to hold out, in [0, 1]. A hash decides, so a group is on the same side on every run.
        seed: of that hash; another seed gives another split.
        near_distance: most bits in which the perceptual hashes of near-duplicate images differ.
    """
    table = pa.concat_tables([pq.ParquetFile(path).read(columns=_NEEDED) for path in index_files])
    rows = len(table)
    if rows == 0:
        return Split(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, np.int64))
    kept = np.zeros(rows, bool)
    kept[np.unique(_codes(table["row_key"]), return_index=True)[1]] = True

    group = _groups(table, rows, near_distance)
    first = np.unique(group, return_index=True)[1]  # a group's first row names it
    names = _group_names(table.take(pa.array(first)))
    held = np.array([_fraction(name, seed) < share for name in names], bool)
    return Split(kept, held[group], group)


def _groups(table: pa.Table, rows: int, near_distance: int) -> Array:
    """Group number of each row: connected components of a graph of rows, images, and questions of text-only rows."""
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
    """Edges between image nodes with near hashes; equal hashes are joined through the first image that has them."""
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
    return [each[0]["sha256"].encode() if each else text for each, text in zip(images, texts, strict=True)]


def _fraction(name: bytes, seed: int) -> float:
    digest = hashlib.blake2b(name, digest_size=8, salt=seed.to_bytes(16, "big")).digest()
    return int.from_bytes(digest, "big") / 2**64


def _codes(column: Any) -> Array:
    """Integer codes, shape (n,): equal values have equal codes."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(array.dictionary_encode().indices).astype(np.int64)
