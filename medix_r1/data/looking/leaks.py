"""`medix-r1 data leaks`: training rows that are also test rows, by question, image bytes or near-duplicate image.

An equal question alone is a match only if both rows are text-only or the question is long, because "What is shown?" is
in every visual data set.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medix_r1.data.check import image_bytes, texts_of
from medix_r1.data.files import sha256_of, write_json
from medix_r1.data.near import NearIndex
from medix_r1.data.normalise import normalise_question, question_key
from medix_r1.data.prepared import MANIFEST, REJECTS, is_prepared, read_index, read_manifest, shard_batches
from medix_r1.data.row import RawRow
from medix_r1.data.shards import SHARD_INDEX_SCHEMA
from medix_r1.data.sources.base import Source, known_columns
from medix_r1.data.sources.csv_file import CsvSource
from medix_r1.data.sources.lines import JsonlSource
from medix_r1.data.sources.parquet import ParquetSource
from medix_r1.data.summary import Summary
from medix_r1.errors import ConfigError, DataError
from medix_r1.host.files import atomic_file
from medix_r1.images.decode import prepare_image
from medix_r1.images.rules import ImageRules

MIN_WORDS = 8  # of a question that is a match although a row has an image
_INDEX_COLUMNS = ("row_id", "question", "text_key", "images.list.element.sha256", "images.list.element.phash")
_SOURCES = {
    ".jsonl": JsonlSource,
    ".json": JsonlSource,
    ".csv": CsvSource,
    ".tsv": CsvSource,
    ".parquet": ParquetSource,
}
_IN_FOLDERS = (".jsonl", ".csv", ".parquet")  # a .json beside them may be anything
_UNIT_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Match:
    """A training row and the test row that it matches."""

    kind: str  # question, image (equal bytes) or near_image
    train_row: str
    test_row: str
    distance: int | None  # in bits, between perceptual hashes; None for the other kinds
    train_question: str
    test_question: str


@dataclass(slots=True)
class Entries:
    """The compared fields of a set: lists with one entry for each row, and three with one for each image.

    Attributes:
        rows, questions, text_keys, has_image: by row.
        image_rows, sha256, phash: by image; `image_rows` is the number of its row.
        unreadable: rows that could not be read, with the reason.
    """

    rows: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    text_keys: list[bytes] = field(default_factory=list)
    has_image: list[bool] = field(default_factory=list)
    image_rows: list[int] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    phash: list[int] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def add(self, row: str, question: str, text_key: bytes, images: Iterable[tuple[str, int]], has_image: bool) -> None:
        """Add one row; `images` has the (sha256, perceptual hash) of each image."""
        number = len(self.rows)
        self.rows.append(row)
        self.questions.append(question)
        self.text_keys.append(text_key)
        self.has_image.append(has_image)
        for digest, perceptual in images:
            self.image_rows.append(number)
            self.sha256.append(digest)
            self.phash.append(perceptual)


def read_entries(path: Path) -> Entries:
    """Read a prepared folder (from its index), or JSONL, CSV or parquet files with questions and images.

    Raises:
        ConfigError: there is no such file.
    """
    entries = Entries()
    if is_prepared(path):
        for batch in read_index(path, _INDEX_COLUMNS).to_batches(max_chunksize=1000):
            for row in batch.to_pylist():
                images = [(image["sha256"], image["phash"]) for image in row["images"] or ()]
                entries.add(row["row_id"], row["question"], row["text_key"], images, bool(images))
        return entries
    for source, prefix in _sources(path):
        for unit in source.units(_UNIT_ROWS):
            for raw in source.rows(unit):
                _add_raw(entries, raw, prefix)
    return entries


def _sources(path: Path) -> Iterator[tuple[Source, str]]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in _IN_FOLDERS)
    if not files:
        raise ConfigError.of(
            str(path), "no-rows-there", "holds no .jsonl, .csv or .parquet file, and is no prepared folder"
        )
    for file in files:
        if file.suffix not in _SOURCES:
            raise ConfigError.of(str(file), "not-a-file-of-rows", f"is none of {', '.join(_SOURCES)}")
        prefix = "" if file.parent == path or file == path else f"{file.parent.relative_to(path)}/"
        yield _SOURCES[file.suffix](path=str(file), columns=known_columns(), required=("question",)), prefix


def _add_raw(entries: Entries, raw: RawRow, prefix: str) -> None:
    where = prefix + raw.where
    rules = ImageRules(frames="first")
    try:
        if raw.problem is not None:
            raise DataError(raw.problem, code="not-a-row")
        question, choices = texts_of(raw)
        prepared = [prepare_image(content, rules) for content in image_bytes(raw, rules)]
    except DataError as problem:
        entries.unreadable.append(f"{where}: {problem}")
        return
    images = [(image.sha256, image.phash) for image in prepared]
    entries.add(where, question, question_key(question, choices), images, bool(images))


def find_leaks(train: Entries, test: Entries, near_distance: int) -> list[Match]:
    """All matches, each (training row, test row, kind) once; equal images are not repeated as near-duplicates."""
    found: dict[tuple[str, int, int], int | None] = {}
    for a, b in _equal(train.text_keys, test.text_keys):
        if _is_match(train, a, test, b):
            found["question", a, b] = None
    for a, b in _equal(train.sha256, test.sha256):
        found["image", train.image_rows[a], test.image_rows[b]] = None
    for a, b, distance in _near(train, test, near_distance):
        rows = train.image_rows[a], test.image_rows[b]
        if ("image", *rows) not in found:
            key = ("near_image", *rows)
            found[key] = min(distance, found.get(key) or distance)
    return [
        Match(kind, train.rows[a], test.rows[b], distance, train.questions[a], test.questions[b])
        for (kind, a, b), distance in sorted(found.items(), key=lambda item: (item[0][1], item[0][2], item[0][0]))
    ]


def _equal(left: Sequence[Any], right: Sequence[Any]) -> Iterator[tuple[int, int]]:
    positions: defaultdict[Any, list[int]] = defaultdict(list)
    for number, value in enumerate(right):
        positions[value].append(number)
    for number, value in enumerate(left):
        for other in positions.get(value, ()):
            yield number, other


def _is_match(train: Entries, a: int, test: Entries, b: int) -> bool:
    if not train.has_image[a] and not test.has_image[b]:
        return True
    return len(normalise_question(test.questions[b]).split()) >= MIN_WORDS


def _near(train: Entries, test: Entries, distance: int) -> Iterator[tuple[int, int, int]]:
    if not train.phash or not test.phash:
        return
    index = NearIndex(np.array(test.phash, np.uint64), distance)
    pairs = index.search(np.array(train.phash, np.uint64))
    yield from zip(pairs.queries.tolist(), pairs.found.tolist(), pairs.distances.tolist(), strict=True)


def write_matches(matches: Sequence[Match], path: Path) -> None:
    """Write one JSON line for each match."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for match in matches:
            file.write(json.dumps(asdict(match), ensure_ascii=True) + "\n")


def count_by_test_file(matches: Sequence[Match]) -> dict[str, Counter[str]]:
    """Matches of each kind, by the file of the test row."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for match in matches:
        counts[match.test_row.rpartition(":")[0] or match.test_row][match.kind] += 1
    return dict(sorted(counts.items()))


def remove(folder: Path, leaked: set[str], out: Path) -> Summary:
    """Copy a prepared folder without the rows in `leaked`.

    Raises:
        ConfigError: `folder` is not prepared, or `out` exists already.
    """
    manifest = read_manifest(folder)
    if (out / MANIFEST).exists() or out.resolve() == folder.resolve():
        raise ConfigError.of("--remove", "exists-already", f"{out} is there already; choose a new folder")
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.glob("index-*.parquet")):
        _copy_index(file, leaked, out)
    entries = [entry for shard in manifest["shards"] if (entry := _copy_shard(folder, shard, leaked, out))]
    rows = {name: sum(e["rows"] for e in entries if e["split"] == name) for name in ("train", "validation")}
    old = Summary(**manifest["counts"])
    removed = old.train + old.validation - rows["train"] - rows["validation"]
    summary = replace(old, train=rows["train"], validation=rows["validation"], leaked=old.leaked + removed)
    with atomic_file(out / REJECTS) as temporary:
        temporary.write_bytes((folder / REJECTS).read_bytes())
    write_json(
        out / MANIFEST, {**manifest, "counts": asdict(summary), "shards": entries, "leaks_removed_from": str(folder)}
    )
    return summary


def _copy_shard(folder: Path, shard: dict[str, Any], leaked: set[str], out: Path) -> dict[str, Any] | None:
    target, rows = out / shard["file"], 0
    schema = pq.read_schema(folder / shard["file"])  # of an older version, perhaps
    with atomic_file(target) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in shard_batches(folder / shard["file"]):
            ids = batch.column("extra_info").field("row_id").to_pylist()
            kept = batch.filter(pa.array([name not in leaked for name in ids]))
            if len(kept):
                writer.write_batch(kept)
            rows += len(kept)
    if rows == 0:
        target.unlink()
        return None
    return {**shard, "rows": rows, "bytes": target.stat().st_size, "sha256": sha256_of(target)}


def _copy_index(file: Path, leaked: set[str], out: Path) -> None:
    table = pq.ParquetFile(file).read()
    kept = table.filter(pa.array([name not in leaked for name in table["row_id"].to_pylist()]))
    seen: Counter[str] = Counter()
    positions = []
    for shard in kept["shard"].to_pylist():  # renumbers the rows of each shard
        positions.append(seen[shard])
        seen[shard] += 1
    column = SHARD_INDEX_SCHEMA.get_field_index("position")
    kept = kept.set_column(column, SHARD_INDEX_SCHEMA.field(column), pa.array(positions, pa.int64()))
    with atomic_file(out / file.name) as temporary:
        pq.write_table(kept, temporary, compression="zstd")
