"""Blinded pairwise comparison for experts: the same question, two answers, random sides.

    OUT/sheet.csv     to fill in: left, right or tie under `preference`
    OUT/sheet.html    the same to read, with images if there are any
    OUT-key.json      which result is on which side; not given to the experts

blind_result.py reads a filled sheet back.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medix_r1.errors import DataError
from medix_r1.evaluation.results.records import Record, RunInfo, read_run
from medix_r1.evaluation.results.sheet import csv_text
from medix_r1.evaluation.results.table import Records
from medix_r1.evaluation.sharing.pictures import TaskPictures
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import page_style
from medix_r1.untrusted import plain

IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class BlindPair:
    """One line of the sheet.

    Attributes:
        name: of the pair; it begins with the sheet's id, so that a sheet fits one key only.
        first, second: the two results' records of the sample.
        left_is_first: whether the first result is on the left.
    """

    name: str
    first: Record
    second: Record
    left_is_first: bool

    @property
    def sides(self) -> tuple[Record, Record]:
        return (self.first, self.second) if self.left_is_first else (self.second, self.first)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Counts of samples that are in no pair, by reason.

    Attributes:
        unmatched: in one result only.
        no_reply: without a reply in one of the results.
        restricted: under a data-use agreement.
        same: the same answer and reasoning in both.
        cluster: another sample of the same image or passage was drawn; pairs have to be independent.
        not_drawn: beyond the requested count.
    """

    unmatched: int = 0
    no_reply: int = 0
    restricted: int = 0
    same: int = 0
    cluster: int = 0
    not_drawn: int = 0


@dataclass(frozen=True, slots=True)
class Export:
    """The written files, and how many samples are in them and left out."""

    sheet: Path
    page: Path
    key: Path
    pairs: int
    left_out: LeftOut


def export(
    first: Path,
    second: Path,
    out: Path,
    *,
    count: int = 100,
    seed: int | None = None,
    images: Path | None = None,
    pictures: TaskPictures | None = None,
) -> Export:
    """Write a blinded sheet of two results and its key.

    Args:
        first: a result's folder.
        second: the other's.
        out: folder of the sheet; the key is written beside it.
        count: maximal number of pairs.
        seed: of drawing, order and sides; random by default. The key records it.
        images: folder of images named `<task>_<row>.png` (jpg, webp) for the page.
        pictures: reads those of the other samples from the tasks' data; None leaves them out.

    Raises:
        DataError: a folder is not a result, the key exists already, or there is nothing to compare.
    """
    key = out.with_name(f"{out.name}-key.json")
    if key.exists():  # overwriting it would make a sheet that experts already have useless
        raise DataError(f"{key} exists: a sheet with this name is out; choose another --out", code="exists-already")
    seed = secrets.randbelow(2**32) if seed is None else seed
    (about, ours), (other, theirs) = read_run(first), read_run(second)
    pairs, left_out = draw(ours, theirs, count=count, seed=seed)
    if not pairs:
        raise DataError(
            f"no pair to compare in {first} and {second}; left out: {asdict(left_out)}", code="nothing-to-compare"
        )
    atomic_write(key, json.dumps(_key(pairs, about, other, seed, left_out), indent=1, ensure_ascii=False) + "\n")
    read = pictures.of([pair.first for pair in pairs if _image(pair.first, images) is None]) if pictures else {}
    atomic_write(out / "sheet.html", page(pairs, images, read))
    atomic_write(
        out / "sheet.csv", "\ufeff" + csv_text([_line(pair) for pair in pairs])
    )  # Excel needs the BOM for UTF-8
    return Export(out / "sheet.csv", out / "sheet.html", key, len(pairs), left_out)


def draw(first: Records, second: Records, *, count: int, seed: int) -> tuple[list[BlindPair], LeftOut]:
    """Draw random pairs, at most one for each cluster; each result is on the left in half of them."""
    rng = random.Random(seed)
    found, left_out = _eligible(first, second)
    rng.shuffle(found)
    apart = list({pair[0].group: pair for pair in reversed(found)}.values())[::-1]
    chosen = apart[:count]
    sides = [place % 2 == 0 for place in range(len(chosen))]
    rng.shuffle(sides)
    drawn = json.dumps([seed, [record.id for record, _ in chosen]])
    sheet = hashlib.sha256(drawn.encode()).hexdigest()[:6]
    pairs = [BlindPair(f"{sheet}-{n:03d}", *chosen[n - 1], sides[n - 1]) for n in range(1, len(chosen) + 1)]
    counts = {**left_out, "cluster": len(found) - len(apart), "not_drawn": len(apart) - len(chosen)}
    return pairs, LeftOut(**counts)


def page(
    pairs: Sequence[BlindPair], images: Path | None = None, pictures: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The sheet as one HTML page without scripts or external resources, every text escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("medix_r1.evaluation.sharing", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    shown = []
    for pair in pairs:
        own, read = _image(pair.first, images), (pictures or {}).get(pair.first.id, ())
        shown.append({**_texts(pair), "images": [own] if own else list(read)})
    return environment.get_template("blind.html.jinja").render(pairs=shown, style=Markup(page_style()))


def _eligible(first: Records, second: Records) -> tuple[list[tuple[Record, Record]], dict[str, int]]:
    theirs = {record.id: record for rows in second.values() for record in rows}
    ours = {record.id: record for rows in first.values() for record in rows}
    counts = {"unmatched": len(ours.keys() ^ theirs.keys()), "no_reply": 0, "restricted": 0, "same": 0}
    found = []
    for name in sorted(ours.keys() & theirs.keys()):
        one, other = ours[name], theirs[name]
        if one.restricted or other.restricted:
            counts["restricted"] += 1
        elif one.reply is None or other.reply is None:
            counts["no_reply"] += 1
        elif _said(one) == _said(other):
            counts["same"] += 1
        else:
            found.append((one, other))
    return found, counts


def _said(record: Record) -> tuple[str, str]:
    """Answer and reasoning; a reply that could not be parsed is an answer as a whole."""
    if record.answer is None:
        return record.reply or "", ""
    return record.answer, record.think or ""


def _texts(pair: BlindPair) -> dict[str, Any]:
    (left, left_why), (right, right_why) = map(_said, pair.sides)
    sample = pair.first
    return {
        "pair": pair.name,
        "task": sample.task,
        "row": sample.row,
        "question": plain(sample.passage),
        "choices": [plain(choice) for choice in sample.choices],
        "left_answer": plain(left),
        "left_reasoning": plain(left_why),
        "right_answer": plain(right),
        "right_reasoning": plain(right_why),
    }


def _line(pair: BlindPair) -> dict[str, Any]:
    texts = _texts(pair)
    choices = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCDEFGHIJ", texts["choices"], strict=False))
    return {**texts, "choices": choices, "preference": "", "comment": ""}


def _key(
    pairs: Sequence[BlindPair], first: RunInfo, second: RunInfo, seed: int, left_out: LeftOut
) -> Mapping[str, Any]:
    return {
        "seed": seed,
        "first": asdict(first),
        "second": asdict(second),
        "left_out": asdict(left_out),
        "pairs": {
            pair.name: {
                "id": pair.first.id,
                "task": pair.first.task,
                "row": pair.first.row,
                "left": "first" if pair.left_is_first else "second",
            }
            for pair in pairs
        },
    }


def _image(record: Record, folder: Path | None) -> str | None:
    """The image as a data URI, or None."""
    for suffix, kind in IMAGE_TYPES.items() if folder else ():
        path = (folder or Path()) / f"{record.task}_{record.row}{suffix}"
        if path.is_file():
            return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return None
