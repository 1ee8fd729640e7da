"""Writes the demo's rows: `train`, `heldout_views` and `heldout_sources`, as parquet for verl and as JSONL for people.

`heldout_views` has new views of training pictures; `heldout_sources` has pictures never trained on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from medix_r1.demo.rows.labels import Labels, Source
from medix_r1.demo.rows.source_pictures import extract
from medix_r1.demo.rows.views import make_view, stream, to_png

Part = Literal["train", "heldout_views", "heldout_sources"]
Row = dict[str, Any]

TRAIN_VIEWS = 5  # views of each (source, question type)
HELDOUT_VIEW_ROWS = 80
HELDOUT_SOURCE_VIEWS = 3


def write_data(out: Path, labels: Labels, advance: Callable[[str], None] = lambda _: None) -> dict[Part, int]:
    """Write `images/*.png` and `data/*.parquet|jsonl` under a folder; return the number of rows of each part."""
    pictures = _extract_all(out / "images", labels, advance)
    (out / "data").mkdir(parents=True, exist_ok=True)
    counts: dict[Part, int] = {}
    parts: tuple[Part, ...] = ("train", "heldout_views", "heldout_sources")
    for part in parts:
        rows = make_rows(part, pictures, labels)
        write_parquet(out / "data" / f"{part}.parquet", rows)
        _write_jsonl(out / "data" / f"{part}.jsonl", rows)
        counts[part] = len(rows)
        advance(part)
    return counts


def make_rows(part: Part, pictures: dict[str, Image.Image], labels: Labels) -> list[Row]:
    """Make the rows of one part, shuffled by the part's own random stream."""
    views = {"train": TRAIN_VIEWS, "heldout_views": 1, "heldout_sources": HELDOUT_SOURCE_VIEWS}[part]
    pairs = list(labels.pairs("heldout" if part == "heldout_sources" else "train"))
    keys = [(source, question_type, k) for source, question_type in pairs for k in range(views)]
    stream("order", part).shuffle(keys)
    if part == "heldout_views":
        keys = keys[:HELDOUT_VIEW_ROWS]
    return [
        _row(part, index, source, question_type, k, pictures[source.id], labels)
        for index, (source, question_type, k) in enumerate(keys)
    ]


def _row(
    part: Part, index: int, source: Source, question_type: str, k: int, picture: Image.Image, labels: Labels
) -> Row:
    view = make_view(picture, source, question_type, part, k, labels)
    answers = list(labels.answers(question_type, view.fact))
    return {
        "data_source": part,  # verl and our metrics report each held-out set under its own name
        "prompt": [{"role": "user", "content": "<image>" + view.question}],
        "images": [{"bytes": to_png(view.picture), "path": None}],
        "ability": "vqa",
        "reward_model": {"style": "medix", "ground_truth": f"<{source.modality}>\n{answers[0]}"},
        "extra_info": {
            "split": part,
            "index": index,
            "row_id": f"nano/{part}/{index:05d}",
            "question": view.question,
            "question_type": question_type,
            "source": source.id,
            "modality": source.modality.value,
            "answers": answers,
        },
    }


def _extract_all(folder: Path, labels: Labels, advance: Callable[[str], None]) -> dict[str, Image.Image]:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for source in labels.sources:
        pictures[source.id] = extract(source, labels)
        (folder / f"{source.id}.png").write_bytes(to_png(pictures[source.id]))
        advance(source.id)
    return pictures


def write_parquet(path: Path, rows: list[Row]) -> None:
    """Write rows as verl reads them."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    # `path` is None in every row; without a schema its column would have the type null, which readers reject.
    images = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.Table.from_pylist(rows)
    position = table.schema.get_field_index("images")
    table = table.set_column(position, "images", pa.array([row["images"] for row in rows], type=images))
    pq.write_table(table, path)


def _write_jsonl(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({k: v for k, v in row.items() if k != "images"}, ensure_ascii=False) + "\n")
