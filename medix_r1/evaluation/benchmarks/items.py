"""A task's samples. Each id is a hash of the sample's content, so that it survives reordering and filtering."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from medix_r1.errors import DataError, Problem
from medix_r1.evaluation.benchmarks.formats import Parts, load_format
from medix_r1.evaluation.benchmarks.sources import Source, open_source
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.evaluation.results.records import passage
from medix_r1.images.rules import ImageRules, rules_of
from medix_r1.models.reading.faults import line
from medix_r1.models.reading.sent_texts import SentTexts

_MAX_PROBLEMS = 20  # rows named in one error; a wrong column name breaks every row


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a sample.

    Attributes:
        number: of its `<image N>` mark; 0 without one.
        key: hash that identifies the image.
        read: returns its bytes.
        rules: by which they become pixels.
    """

    number: int
    key: str
    read: Callable[[], bytes]
    rules: ImageRules = field(default_factory=ImageRules)


@dataclass(frozen=True, slots=True)
class Item:
    """One sample; fields as in `Record` (records.py), `restricted` among them."""

    id: str
    task: str
    row: int
    group: str
    modality: str | None
    question: str
    context: str
    choices: tuple[str, ...]
    reference: str
    letter: str | None
    images: tuple[Image, ...]
    restricted: bool = False

    @property
    def texts(self) -> SentTexts:
        """What no reason may repeat."""
        return SentTexts.of(self.question, self.context, self.reference, *self.choices)


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task's samples.

    Attributes:
        task: their task.
        items: in the source's order; the first `limit` when one was given.
        revision: of the data.
        total: rows of the source that pass the task's `where`, ignoring `limit`.
    """

    task: TaskSpec
    items: tuple[Item, ...]
    revision: str | None
    total: int

    @property
    def key(self) -> str:
        """Data key: hash of the data's revision and the task's definition, 8 hex digits."""
        return self._key_of(self.task.definition())

    @property
    def asked_key(self) -> str:
        """The same without the scorer: what replies depend on."""
        return self._key_of({**self.task.definition(), "scorer": None})

    def _key_of(self, definition: Mapping[str, Any]) -> str:
        text = json.dumps([self.revision, definition], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def load_items(task: TaskSpec, *, data_dir: Path | None, cache_dir: Path, limit: int | None = None) -> TaskData:
    """Read a task's samples.

    Raises:
        DataError: the source cannot be read, or rows violate the format; up to 20 such rows are named together.
    """
    source = open_source(task, data_dir, cache_dir)
    make_parts = load_format(task.format, f"tasks.{task.name}.format")
    items: list[Item] = []
    problems: list[Problem] = []
    seen: Counter[str] = Counter()
    for index in source.counted[:limit]:
        try:
            row = source.rows[index]
            items.append(_item(task, source, index, make_parts(row, task), row, seen))
        except DataError as error:
            said = (
                line(str(error), SentTexts.of_body(partial(source.rows.__getitem__, index)))
                if task.restricted
                else str(error)
            )
            problems.append(Problem(f"{task.name} row {index}", error.code, said))
            if len(problems) == _MAX_PROBLEMS:
                break
    if problems:
        raise DataError.listing(problems, code="rows-refused")
    if not items:
        raise DataError(f"{task.name}: no rows are left to ask", code="no-rows")
    return TaskData(task, tuple(items), source.revision, len(source.counted))


def _item(task: TaskSpec, source: Source, index: int, parts: Parts, row: Mapping[str, Any], seen: Counter[str]) -> Item:
    images = tuple(
        Image(number, source.image_key(_at(row, path)), _reader(source, index, path), rules_of(task.image))
        for number, path in parts.images
    )
    said = [task.name, parts.question, parts.context, parts.choices, parts.reference, [i.key for i in images]]
    name = _hash(said)
    seen[name] += 1
    return Item(
        id=name if seen[name] == 1 else f"{name}-{seen[name]}",  # duplicate rows stay separate samples
        task=task.name,
        row=index,
        group=images[0].key if images else _hash([parts.context or parts.question]),
        modality=parts.modality,
        question=parts.question,
        context=parts.context,
        choices=parts.choices,
        reference=parts.reference,
        letter=parts.letter,
        images=images,
        restricted=task.restricted,
    )


def _reader(source: Source, index: int, path: tuple[str | int, ...]) -> Callable[[], bytes]:
    return lambda: source.read_image(_at(source.rows[index], path))


def _at(row: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        row = row[step]
    return row


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()[:16]


_MARK = re.compile(r"<image\s{0,2}(\d{0,2})>")


@dataclass(frozen=True, slots=True)
class Marked:
    """Question and choices with one `<image>` for each image, and the images in the order of their marks."""

    question: str
    choices: tuple[str, ...]
    images: tuple[Image, ...]


def place_images(item: Item) -> Marked:
    """Replace the marks of numbered images by `<image>`; images without a mark come first.

    A mark without an image stays as text, in square brackets, so that the model's processor does not expect an image.
    """
    by_number = {image.number: image for image in item.images if image.number}
    order: list[Image] = []

    def place(match: re.Match[str]) -> str:
        image = by_number.get(int(match[1])) if match[1] else None
        if image is None:
            return f"[{match[0][1:-1].strip()}]"
        order.append(image)
        return "<image>"

    question = _MARK.sub(place, passage(item.context, item.question))
    choices = tuple(_MARK.sub(place, choice) for choice in item.choices)
    unnamed = [image for image in item.images if all(image is not placed for placed in order)]
    return Marked("<image>" * len(unnamed) + question, choices, (*unnamed, *order))
