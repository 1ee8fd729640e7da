"""The samples embedded in a report, limited so that the file can be mailed."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from medix_r1.reports import sample_images
from medix_r1.reports.samples import Line, lines, step_files, value_of

STEPS = 12  # training steps with samples, evenly spaced over the run
PER_STEP = 45  # cards of different samples
PAIRS = 100  # held-out questions, before and after, those that changed most
_EDGE = 320  # pixels, of the longer side of an image
_DETAILS, _TEXT_OF_DETAIL = 30, 160  # criteria of a sample, and characters of one and of its reason
_TEXTS = 2_200_000  # characters of all replies and reasons together
_PICTURES = 2_500_000  # bytes of all pictures together
_LONGEST = 4000  # characters, of a reply


def payload(run: Path) -> dict[str, Any]:
    """Samples of some training steps, the held-out questions that changed most, their images, and what is left out."""
    steps = sorted(step_files(run, "train"))
    shown, seen = [], 0
    for step in _spread(steps, STEPS):
        of_step = list(lines(run, "train", step))
        seen += len(of_step)
        shown += _different(of_step, PER_STEP)
    pairs, all_pairs = _most_changed(run)
    longest = min(_LONGEST, _TEXTS // max(1, len(shown) + 2 * len(pairs)))
    shown = [_slim(line, longest) for line in shown]
    pairs = [{when: _slim(line, longest) for when, line in pair.items()} for pair in pairs]
    rows = list(dict.fromkeys([*(pair["after"]["row_id"] for pair in pairs), *(line["row_id"] for line in shown)]))
    pictures, images = thumbnails(sample_images.of_rows(run, rows), rows)
    without = sum(1 for row in rows if row not in images)
    left = _left_out(len(shown), seen, len(steps), len(pairs), all_pairs, without if pictures else 0)
    return {"samples": shown, "pairs": pairs, "pictures": pictures, "images": images, "left_out": left}


def _left_out(shown: int, seen: int, steps: int, pairs: int, all_pairs: int, without: int) -> list[str]:
    """What is not in the page, a sentence each."""
    said = []
    if seen > shown or steps > STEPS:
        of_steps = f"{min(steps, STEPS)} of {steps} training steps" if steps > STEPS else "all training steps"
        said.append(
            f"Training samples: {shown:,} cards for {seen:,} samples of {of_steps}; equal replies share a card. "
            "`medix-r1 samples` shows all."
        )
    if all_pairs > pairs:
        said.append(f"Held-out questions: the {pairs} of {all_pairs:,} whose reward changed most.")
    if without:
        said.append(f"Pictures of {without:,} rows: no room, or not to be had here.")
    return said


def _most_changed(run: Path) -> tuple[list[dict[str, Line]], int]:
    """Held-out questions by how much the reward of their first reply changed, and how many there are."""
    pairs = before_and_after(run)
    return sorted(pairs, key=_change, reverse=True)[:PAIRS], len(pairs)


def before_and_after(run: Path) -> list[dict[str, Line]]:
    """For each held-out question, its first reply at the first and at the last validation."""
    steps = sorted(step_files(run, "validation"))
    if len(steps) < 2:
        return []
    first, last = (
        {line["row_id"]: line for line in reversed(list(lines(run, "validation", s)))} for s in (steps[0], steps[-1])
    )
    return [{"before": first[row_id], "after": last[row_id]} for row_id in first if row_id in last]


def _change(pair: Mapping[str, Line]) -> float:
    values = [value_of(pair[when], "overall") for when in ("before", "after")]
    return abs(values[1] - values[0]) if None not in values else -1.0  # type: ignore[operator]


def _different(found: Sequence[Line], count: int) -> list[Line]:
    """Up to `count` samples that differ in question or answer, over the whole range of rewards."""
    kept: dict[tuple[Any, ...], Line] = {}
    for line in found:
        said = line["answer"] if line["answer"] is not None else line["reply"]
        key = (line["question"], line["reference"], said, line["overall"], line["masked"])
        if key in kept:
            kept[key]["times"] += 1
        else:
            kept[key] = {**line, "times": 1}
    ranked = sorted(kept.values(), key=lambda line: (value_of(line, "overall") or 0.0, line["row_id"]))
    return [ranked[i] for i in _spread(range(len(ranked)), count)]


def _spread(values: Sequence[int], count: int) -> list[int]:
    """Up to `count` evenly spaced values, including the first and the last."""
    if len(values) <= count:
        return list(values)
    return sorted({values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)})


def _slim(line: Line, longest: int) -> Line:
    wanted = (
        "step", "row_id", "source", "question", "reference", "answer", "parts", "reasons", "overall", "masked",
        "failure", "cut", "tokens", "advantage", "filtered", "times",
    )  # fmt: skip
    reasons = {name: reason[:300] for name, reason in (line.get("reasons") or {}).items()}
    slim = {name: line.get(name) for name in wanted} | {"reasons": reasons, "reply": line["reply"][:longest]}
    slim["question"] = line["question"][:_LONGEST]
    if details := line.get("details"):
        slim["details"] = {name: [_slim_detail(one) for one in all_[:_DETAILS]] for name, all_ in details.items()}
    return slim | ({"shortened": True} if len(line["reply"]) > longest else {})


def _slim_detail(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": str(one["text"])[:_TEXT_OF_DETAIL],
        "met": one.get("met"),
        "points": one.get("points"),
        "reason": str(one.get("reason") or "")[:_TEXT_OF_DETAIL],
    }


def thumbnails(paths: Mapping[str, Sequence[Path]], order: Iterable[str]) -> tuple[list[str], dict[str, list[int]]]:
    """Small JPEGs as data URIs, each once, and the numbers of each row's; in this order as long as there is room.

    A file that is no image is left out.
    """
    pictures: list[str] = []
    numbers: dict[Path, int | None] = {}
    images: dict[str, list[int]] = {}
    room = _PICTURES
    for row_id in order:
        for path in paths.get(row_id, ()):
            if path not in numbers:
                address = _small(path) if room > 0 else None
                numbers[path] = None if address is None else len(pictures)
                if address is not None:
                    pictures.append(address)
                    room -= len(address)
            if (number := numbers[path]) is not None:
                images.setdefault(row_id, []).append(number)
    return pictures, images


def _small(file: Path) -> str | None:
    try:
        with Image.open(file) as image:
            picture = image.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
        return None
    picture.thumbnail((_EDGE, _EDGE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=72)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
