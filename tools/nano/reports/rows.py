"""Made-up reports of the demo's pictures, two short sentences each: which body part, and what stands out in it.

The sentences are accepted wordings of `labels.yaml`, so that the nano judge knows them and can compare two of them.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
from PIL import Image

from medix_r1.demo.rows.dataset import Part, Row
from medix_r1.demo.rows.labels import Labels, Source
from medix_r1.demo.rows.views import make_view, stream, to_png

QUESTIONS = ("Write a short report.", "Describe the picture.")
FIRST = "body_part"
SECOND = ("organ", "bone", "flow", "stain", "view")  # of these the first that a picture has
VIEWS: dict[Part, int] = {"train": 12, "heldout_views": 3, "heldout_sources": 6}  # of each picture

# `path` is None in every row; without a type its column would be one of nulls, which readers reject.
_IMAGES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def kinds_of(source: Source) -> tuple[str, str]:
    """The question types that the two sentences of a picture's report answer."""
    return FIRST, next(kind for kind in SECOND if kind in source.facts)


def report_of(*sentences: str) -> str:
    """Wordings as a report: each a sentence, with a capital letter and a full stop."""
    return " ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in sentences)


def write_reports(out: Path, images: Path, labels: Labels) -> dict[Part, int]:
    """Write `train`, `heldout_views` and `heldout_sources` as parquet into a folder; return their numbers of rows.

    Args:
        out: the folder.
        images: the demo's folder of source pictures.
        labels: of the demo.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[Part, int] = {}
    for part, views in VIEWS.items():
        split = "heldout" if part == "heldout_sources" else "train"
        keys = [(source, k) for source in labels.sources if source.split == split for k in range(views)]
        stream("order of reports", part).shuffle(keys)
        rows = [_row(part, index, source, k, images, labels) for index, (source, k) in enumerate(keys)]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        columns["images"] = pa.array(columns["images"], type=_IMAGES)
        pq.write_table(pa.table(columns), out / f"{part}.parquet")
        counts[part] = len(rows)
    return counts


def _row(part: Part, index: int, source: Source, k: int, images: Path, labels: Labels) -> Row:
    kinds = kinds_of(source)
    with Image.open(images / f"{source.id}.png") as picture:
        view = make_view(picture.convert("RGB"), source, FIRST, f"reports of {part}", k, labels)
    wordings: list[tuple[str, ...]] = [labels.answers(kind, source.facts[kind]) for kind in kinds]
    question = stream("question of a report", part, source.id, k).choice(QUESTIONS)
    reports = [report_of(*pair) for pair in product(*wordings)]
    extra: dict[str, Any] = {
        "split": part,
        "index": index,
        "row_id": f"reports/{part}/{index:05d}",
        "question": question,
        "question_type": "report",
        "source": source.id,
        "modality": source.modality.value,
        "answers": reports,
    }
    return {
        "data_source": "reports" if part == "train" else f"reports_{part}",
        "prompt": [{"role": "user", "content": "<image>" + question}],
        "images": [{"bytes": to_png(view.picture), "path": None}],
        "ability": "report",
        "reward_model": {"style": "medix", "ground_truth": f"<{source.modality}>\n{reports[0]}"},
        "extra_info": extra,
    }
