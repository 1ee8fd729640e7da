"""The samples embedded in a report, limited so that the file can be mailed."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from medix_r1.reports import sample_images
from medix_r1.reports.samples import Line, lines, step_files

STEPS = 12  # training steps with samples, evenly spaced over the run
PER_STEP = 40  # samples
PAIRS = 60  # held-out questions, before and after
_EDGE = 224  # pixels, of the longer side of an image
_TEXT = 4000  # characters, of a reply


def payload(run: Path) -> dict[str, Any]:
    """Samples of some training steps, held-out questions at the first and last validation, and their images."""
    shown = [
        _slim(line) for step in _spread(run, "train", STEPS) for line in islice(lines(run, "train", step), PER_STEP)
    ]
    pairs = before_and_after(run)
    rows = {line["row_id"] for line in shown} | {line["row_id"] for pair in pairs for line in pair.values()}
    return {"samples": shown, "pairs": pairs, "images": thumbnails(sample_images.of_rows(run, rows))}


def before_and_after(run: Path) -> list[dict[str, Line]]:
    """For each held-out question, its first reply at the first and at the last validation."""
    steps = sorted(step_files(run, "validation"))
    if len(steps) < 2:
        return []
    first, last = (
        {line["row_id"]: line for line in reversed(list(lines(run, "validation", s)))} for s in (steps[0], steps[-1])
    )
    both = [row_id for row_id in first if row_id in last][:PAIRS]
    return [{"before": _slim(first[row_id]), "after": _slim(last[row_id])} for row_id in both]


def _spread(run: Path, split: str, count: int) -> list[int]:
    """Up to `count` evenly spaced steps, including the first and the last."""
    steps = sorted(step_files(run, split))
    if len(steps) <= count:
        return steps
    return sorted({steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)})


def _slim(line: Line) -> Line:
    wanted = (
        "step", "row_id", "source", "question", "reference", "answer", "parts", "reasons", "overall", "masked",
        "failure", "cut", "tokens", "advantage", "filtered",
    )  # fmt: skip
    return {"reply": line["reply"][:_TEXT], **{name: line.get(name) for name in wanted}}


def thumbnails(paths: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    """Small JPEGs as data URIs, by row id; a file that is not an image is left out."""
    return {row_id: list(_small(files)) for row_id, files in paths.items()}


def _small(files: Iterable[Path]) -> Iterable[str]:
    for file in files:
        try:
            with Image.open(file) as image:
                picture = image.convert("RGB")
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
            continue
        picture.thumbnail((_EDGE, _EDGE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        yield f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
