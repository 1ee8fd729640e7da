"""Training rows in verl's columns, as chat messages for a server and as fields for the reward."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from medix_r1.data.prepared import is_prepared, read_manifest, shard_batches
from medix_r1.errors import ConfigError

_COLUMNS = {"prompt", "reward_model", "extra_info", "data_source"}
_MARK = re.compile(r"(<image>)")
_TYPES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"), (b"GIF8", "image/gif"))


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row.

    Attributes:
        key: hash of prompt, images and reference; the same row has the same key in every file.
        file, position: where it stands.
        messages: for an OpenAI-compatible server, images as data URIs.
        reference, question, choices, accepted, source, modality, rubric, rationale: as the reward reads them.
        images: encoded files.
    """

    key: str
    file: int
    position: int
    messages: list[dict[str, Any]]
    reference: str
    question: str
    choices: tuple[str, ...]
    accepted: tuple[str, ...]
    source: str
    modality: str
    images: tuple[bytes, ...]
    rubric: tuple[dict[str, Any], ...] = ()
    rationale: tuple[str, ...] = ()


def training_files(data: Path) -> list[Path]:
    """The files of the training split of a prepared folder, or the parquet files that are meant.

    Raises:
        ConfigError: there is none, or one is not in verl's columns.
    """
    if data.is_dir() and is_prepared(data):
        read_manifest(data)
        files = sorted(data.glob("train-*.parquet"))
    else:
        files = sorted(data.glob("*.parquet")) if data.is_dir() else [data]
    if not files or not all(file.is_file() for file in files):
        raise ConfigError.of(str(data), "no-rows-there", "no prepared folder and no parquet file; see docs/data.md")
    for file in files:
        try:
            lacking = _COLUMNS - set(pq.ParquetFile(file).schema_arrow.names)
        except (OSError, ValueError) as error:
            raise ConfigError.of(str(file), "unreadable", f"no parquet file: {type(error).__name__}") from error
        if lacking:
            says = f"it lacks {', '.join(sorted(lacking))}; make it with `medix-r1 data prepare`"
            raise ConfigError.of(str(file), "not-verls-columns", says)
    return files


def chosen(files: Sequence[Path], most: int | None, seed: int) -> set[tuple[int, int]] | None:
    """(file, position) of a random choice of rows; None means all."""
    places = [
        (number, row) for number, file in enumerate(files) for row in range(pq.ParquetFile(file).metadata.num_rows)
    ]
    if most is None or most >= len(places):
        return None
    return set(random.Random(seed).sample(places, most))


def read(files: Sequence[Path], places: set[tuple[int, int]] | None = None) -> Iterator[TrainingRow]:
    """Read rows in the order of the files."""
    for number, file in enumerate(files):
        position = 0
        for batch in shard_batches(file):
            for row in batch.to_pylist():
                if places is None or (number, position) in places:
                    yield _row(row, number, position)
                position += 1


def _row(row: dict[str, Any], file: int, position: int) -> TrainingRow:
    extra = row["extra_info"] or {}
    images = tuple(bytes(image["bytes"]) for image in row.get("images") or ())
    reference = str(row["reward_model"]["ground_truth"])
    digest = hashlib.sha256()
    for part in (*(str(message["content"]) for message in row["prompt"]), reference):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return TrainingRow(
        key=digest.hexdigest()[:16],
        file=file,
        position=position,
        messages=as_messages(row["prompt"], images),
        reference=reference,
        question=str(extra.get("question") or ""),
        choices=tuple(map(str, extra.get("choices") or ())),
        accepted=tuple(map(str, extra.get("answers") or ())),
        source=str(row["data_source"] or ""),
        modality=str(extra.get("modality") or "none"),
        images=images,
        rubric=tuple(extra.get("rubric") or ()),
        rationale=tuple(map(str, extra.get("rationale") or ())),
    )


def as_messages(prompt: Sequence[dict[str, Any]], images: Sequence[bytes]) -> list[dict[str, Any]]:
    """As verl builds them: each `<image>` mark becomes the next image."""
    left = iter(images)
    found = []
    for message in prompt:
        parts: list[dict[str, Any]] = []
        for text in _MARK.split(message["content"]):
            if text == "<image>":
                parts.append({"type": "image_url", "image_url": {"url": _data_uri(next(left))}})
            elif text:
                parts.append({"type": "text", "text": text})
        found.append({"role": message["role"], "content": parts})
    return found


def _data_uri(image: bytes) -> str:
    kind = next((name for start, name in _TYPES if image.startswith(start)), "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"
