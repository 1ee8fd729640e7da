"""A task's samples. Each id is a hash of the sample's content, so that it survives reordering and filtering."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.evaluation.benchmarks.formats import Parts, load_format
from medix_r1.evaluation.benchmarks.sources import Source, open_source
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.evaluation.results.records import passage
from medix_r1.images.rules import ImageRules, rules_of
from medix_r1.models.rationale import steps_of
from medix_r1.models.reading.faults import line
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.rubric import Criterion

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
    turns: tuple[tuple[str, str], ...] = ()
    criteria: tuple[Criterion, ...] = ()
    answer_type: str | None = None
    rationale: tuple[str, ...] = ()
    subgroups: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> SentTexts:
        """What no reason may repeat."""
        return SentTexts.of(self.question, self.context, self.reference, *self.choices, *self.said, *self.looked_for)

    @property
    def said(self) -> list[str]:
        """The texts of the turns before the question."""
        return [text for _, text in self.turns]

    @property
    def looked_for(self) -> list[str]:
        """The texts of the criteria."""
        return [criterion.text for criterion in self.criteria]


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task's samples.

    Attributes:
        task: their task.
        items: in the source's order; the first `limit` when one was given.
        revision: of the data.
        total: rows of the source that pass the task's `where`, ignoring `limit`.
        columns: of the source.
    """

    task: TaskSpec
    items: tuple[Item, ...]
    revision: str | None
    total: int
    columns: frozenset[str] = frozenset()

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


def load_items(
    task: TaskSpec,
    *,
    data_dir: Path | None,
    cache_dir: Path,
    limit: int | None = None,
    subgroup: Sequence[str] = (),
) -> TaskData:
    """Read a task's samples.

    Args:
        task: what to read.
        data_dir: folder with copies of the hub's data sets; None for the hub.
        cache_dir: of images from a server.
        limit: first rows; None takes all.
        subgroup: columns whose values say which groups a sample belongs to, where the rows have them.

    Raises:
        DataError: the source cannot be read, or rows violate the format; up to 20 such rows are named together.
    """
    source = open_source(task, data_dir, cache_dir)
    make_parts = load_format(task.format, f"tasks.{task.name}.format")
    items: list[Item] = []
    problems: list[Problem] = []
    seen: Counter[str] = Counter()
    total, asked = len(source.counted), source.counted[:limit]
    for index in asked:
        try:
            row = _answered(source.rows[index], task, source.answers)
            parts = make_parts(row, task)
            if parts is None:
                total -= 1
                continue
            item = _item(task, source, index, parts, row, seen)
            groups = {name: text for name in subgroup if (text := str(row.get(name) or "").strip())}
            items.append(replace(item, subgroups=groups) if groups else item)
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
    return TaskData(task, tuple(items), source.revision, total, frozenset(source.rows[asked[0]]))


def _answered(row: Mapping[str, Any], task: TaskSpec, answers: Mapping[str, str] | None) -> Mapping[str, Any]:
    """The row with its answer from the file of answers, if there is one."""
    if answers is None:
        return row
    if (name := task.columns.get("id")) is None:
        raise ConfigError.of(f"tasks.{task.name}.columns.id", "no-value", "has no value; answers are found by it")
    if (answer := answers.get(str(row.get(name)))) is None:
        raise DataError(f"{task.answers} has no answer for id {row.get(name)!r}", code="no-such-answer")
    return {**row, task.columns["answer"]: answer}


def _item(task: TaskSpec, source: Source, index: int, parts: Parts, row: Mapping[str, Any], seen: Counter[str]) -> Item:
    images = tuple(
        Image(number, source.image_key(_at(row, path)), _reader(source, index, path), rules_of(task.image))
        for number, path in parts.images
    )
    keys = [image.key for image in images]
    said: list[Any] = [task.name, parts.question, parts.context, parts.choices, parts.reference, keys]
    if parts.turns or parts.criteria:
        said += [parts.turns, [[criterion.text, criterion.points] for criterion in parts.criteria]]
    name = _hash(said)
    seen[name] += 1
    return Item(
        id=name if seen[name] == 1 else f"{name}-{seen[name]}",  # duplicate rows stay separate samples
        task=task.name,
        row=index,
        group=images[0].key if images else _hash([*map(list, parts.turns), parts.context or parts.question]),
        modality=parts.modality,
        question=parts.question,
        context=parts.context,
        choices=parts.choices,
        reference=parts.reference,
        letter=parts.letter,
        images=images,
        restricted=task.restricted,
        turns=parts.turns,
        criteria=parts.criteria,
        answer_type=parts.answer_type,
        rationale=steps_of(row.get(task.columns["rationale"])) if "rationale" in task.columns else (),
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
