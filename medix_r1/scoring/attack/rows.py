"""The questions that are attacked: those of the probe, a file of rows, a run's samples, or prepared training rows."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from medix_r1.data.looking import training_rows
from medix_r1.errors import ConfigError
from medix_r1.grammar import ThinkElement, parse_reference
from medix_r1.models.rationale import steps_of
from medix_r1.prompts.policy import policy_prompt
from medix_r1.rewards.references import fault_of
from medix_r1.scoring import rows as row_file
from medix_r1.scoring.attack.wrong import Target
from medix_r1.scoring.probes import probe_file


class AttackRow(row_file.Row):
    """A row with or without a reply, which is not read."""

    completion: Annotated[str, Field(validation_alias=AliasChoices("completion", "reply"))] = ""


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a search.

    Attributes:
        targets: those that are attacked.
        pool: right answers of all rows, without tags: wrong ones for other rows.
        of: rows that there are.
    """

    targets: tuple[Target, ...]
    pool: tuple[str, ...]
    of: int


def questions(
    source: Path | None, *, most: int, seed: int, parser: str, with_images: bool, think_element: ThinkElement
) -> Questions:
    """Read rows and draw the questions that are attacked.

    Args:
        source: JSON lines, a parquet file, or a prepared folder; None takes the questions of the probe.
        most: how many to attack.
        seed: of the draw.
        parser: of the reward.
        with_images: whether to keep the images.
        think_element: what the policy's prompt asks for.

    Raises:
        ConfigError: all problems of the rows, or there is none whose reference can be graded.
    """
    if source is None:
        rows = list(_of_the_probe())
    elif source.is_dir() or source.suffix == ".parquet":
        rows = list(_trained_on(source, with_images=with_images))
    else:
        row_file.check(source, AttackRow, parser=parser, needs_images=with_images)
        rows = list(_of_a_file(source, think_element, with_images=with_images))
    unique = list({row.key: row for row in rows if row.question and fault_of(row.reference) is None}.values())
    if not unique:
        raise ConfigError.of(str(source), "no-rows", "holds no question whose reference can be graded")
    drawn = _drawn(unique, most, random.Random(seed))
    return Questions(tuple(drawn), tuple(dict.fromkeys(row.answer for row in unique)), len(unique))


def _drawn(rows: Sequence[Target], most: int, rng: random.Random) -> list[Target]:
    """As many as are wanted, those with different answers before those whose answer is there already."""
    shuffled = rng.sample(list(rows), len(rows))
    first = list({row.answer.lower(): row for row in reversed(shuffled)}.values())[::-1]
    keys = {row.key for row in first}
    return [*first, *(row for row in shuffled if row.key not in keys)][:most]


def _of_the_probe() -> Iterator[Target]:
    for question in {probe.question.question: probe.question for probe in probe_file.load()}.values():
        fields = {"question": question.question, "reference": question.reference, "choices": question.choices}
        shown = parse_reference(question.reference).modality is not None
        yield Target(
            *(_key(fields), question.question, question.reference, tuple(question.choices)),
            source="probe",
            has_image=shown,
        )


def _of_a_file(path: Path, think_element: ThinkElement, *, with_images: bool) -> Iterator[Target]:
    for line in row_file.read(path, AttackRow):
        row = line.row
        fields = {"question": row.question, "reference": row.reference, "choices": row.choices}
        target = Target(
            _key({**fields, "images": row.image_paths}),
            row.question,
            row.reference,
            row.choices or (),
            row.accepted or (),
            row.source or "",
            row.has_image,
            tuple(row.images(path.parent)) if with_images else (),
            rubric=row.rubric or (),
            rationale=steps_of(row.rationale),
        )
        yield _with_prompt(target, think_element) if target.images or not row.has_image else target


def _with_prompt(target: Target, think_element: ThinkElement) -> Target:
    """The target with the policy's prompt."""
    text = policy_prompt(
        target.question, num_images=len(target.images), choices=target.choices, think_element=think_element
    )
    messages = training_rows.as_messages([{"role": "user", "content": text}], target.images)
    return replace(target, messages=tuple(messages))


def _trained_on(source: Path, *, with_images: bool) -> Iterator[Target]:
    for row in training_rows.read(training_rows.training_files(source)):
        yield Target(
            row.key,
            row.question,
            row.reference,
            row.choices,
            row.accepted,
            row.source,
            bool(row.images),
            row.images if with_images else (),
            tuple(row.messages) if with_images else (),
            row.rubric,
            row.rationale,
        )


def _key(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
