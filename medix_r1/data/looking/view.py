"""`medix-r1 data view`: rows with their images as one HTML file without scripts or external resources.

Jinja escapes the text of a row. As a second defence, the content security policy allows inline images and styles only.
"""

from __future__ import annotations

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from medix_r1.data.prepared import REJECTS, read_index, read_manifest, shard_batches
from medix_r1.data.row import IMAGE_MARK
from medix_r1.errors import ConfigError
from medix_r1.host.files import atomic_file
from medix_r1.pages.style import page_style

_NAMED = 20  # sources and tags in the page's head
_SIDE = 480  # pixels, of the longer side of an image on the page
_INDEX = ("row_id", "split", "shard", "position", "source", "tag", "text_tokens", "image_tokens")


def write_view(
    folder: Path,
    path: Path,
    *,
    rows: int = 50,
    seed: int = 0,
    source: str | None = None,
    tag: str | None = None,
    reason: str | None = None,
) -> int:
    """Write a page with a random sample of a prepared set, or of its rejected rows; return the number of rows on it.

    Args:
        folder: a prepared set.
        path: HTML file to write.
        rows: maximal number.
        seed: of the sample.
        source: only rows of this source.
        tag: only rows of this modality.
        reason: rows that were rejected for it, or `all` of them, in place of those that were taken.

    Raises:
        ConfigError: the folder is not prepared, or no row passes the filters.
    """
    manifest = read_manifest(folder)
    index = read_index(folder, _INDEX)
    counts = {name: Counter(map(str, index[name].to_pylist())).most_common(_NAMED) for name in ("source", "tag")}
    rejected = _rejected(folder, reason, rows, seed) if reason else []
    index = index.slice(0, 0) if reason else _chosen(index, rows, seed, source, tag)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / "view.html.jinja").read_text(encoding="utf-8"))
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        page = template.generate(
            name=manifest["plan"]["options"]["data"].get("name") or Path(manifest["plan"]["source"]["name"]).name,
            there=counts,
            rejected=rejected,
            revision=manifest["plan"]["source"]["revision"],
            counts=manifest["counts"],
            shown=len(index) + len(rejected),
            rows=_rows(folder, index),
            style=Markup(page_style()),
        )
        file.writelines(page)
    return len(index) + len(rejected)


def _rejected(folder: Path, reason: str, rows: int, seed: int) -> list[dict[str, Any]]:
    with (folder / REJECTS).open(encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    chosen = [entry for entry in entries if reason in ("all", entry["reason"])]
    if not chosen:
        known = ", ".join(sorted({entry["reason"] for entry in entries})) or "none"
        raise ConfigError.of("--reason", "no-row-matches", f"no row was rejected for {reason}; there are {known}")
    numbers = sorted(random.Random(seed).sample(range(len(chosen)), min(rows, len(chosen))))
    return [chosen[number] for number in numbers]


def _chosen(index: pa.Table, rows: int, seed: int, source: str | None, tag: str | None) -> pa.Table:
    for column, value in (("source", source), ("tag", tag)):
        if value is not None:
            known = sorted({str(name) for name in index[column].to_pylist()})
            index = index.filter(pc.equal(index[column], value))
            if not len(index):
                raise ConfigError.of(
                    f"--{column}", "no-row-matches", f"no row has {value}; there are {', '.join(known[:20])}"
                )
    numbers = sorted(random.Random(seed).sample(range(len(index)), min(rows, len(index))))
    return index.take(pa.array(numbers, pa.int64()))


def _rows(folder: Path, index: pa.Table) -> Iterator[dict[str, Any]]:
    """The sampled rows, read shard by shard, so that one batch is in memory at a time."""
    entries = index.to_pylist()
    for shard in dict.fromkeys(entry["shard"] for entry in entries):
        wanted = {entry["position"]: entry for entry in entries if entry["shard"] == shard}
        start = 0
        for batch in shard_batches(folder / shard):
            here = np.arange(start, start + len(batch))
            for offset in np.flatnonzero(np.isin(here, list(wanted))):
                yield _shown(batch.slice(int(offset), 1).to_pylist()[0], wanted[int(here[offset])])
            start += len(batch)


def _shown(row: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    info = row["extra_info"]
    return {
        "id": entry["row_id"],
        "split": entry["split"],
        "source": entry["source"],
        "tag": entry["tag"] or "",
        "tokens": entry["text_tokens"] + entry["image_tokens"],
        "image_tokens": entry["image_tokens"],
        "question": marked_question(row["prompt"][0]["content"], info["question"]).split(IMAGE_MARK),
        "choices": info["choices"] or [],
        "reference": row["reward_model"]["ground_truth"],
        "accepted": (info["answers"] or [])[1:],
        "prompt": row["prompt"][0]["content"].split(IMAGE_MARK),
        "images": [_jpeg(image["bytes"]) for image in row["images"] or ()],
    }


def marked_question(prompt: str, question: str) -> str:
    """The question with its marks, which only the prompt has: as much of the prompt's start as spells the question."""
    letters, position = iter("".join(question.split())), 0
    wanted = next(letters, None)
    while wanted is not None and position < len(prompt):
        if prompt.startswith(IMAGE_MARK, position):
            position += len(IMAGE_MARK)
            continue
        character = prompt[position]
        if not character.isspace():
            if character != wanted:
                return question
            wanted = next(letters, None)
        position += 1
    while (rest := prompt[position:].lstrip()).startswith(IMAGE_MARK):  # marks behind the last word
        position = len(prompt) - len(rest) + len(IMAGE_MARK)
    return prompt[:position]


def _jpeg(content: bytes) -> dict[str, Any]:
    """Decode and re-encode an image, so that only its pixels reach the page."""
    with Image.open(io.BytesIO(content)) as image:
        size = image.size
        small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return {"data": base64.b64encode(buffer.getvalue()).decode(), "width": size[0], "height": size[1]}
