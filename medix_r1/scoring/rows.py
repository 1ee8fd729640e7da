"""Rows of a JSON-lines file to score: the input of `medix-r1 reward score`, its output, or a run's `samples/`.

A file is streamed twice: once to find all problems before a model starts, once to score. Memory grows by a few bytes
for each row.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.grammar import parse_reference
from medix_r1.models.rationale import steps_of
from medix_r1.models.rubric import rubric_problems
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.references import fault_of

MAX_PROBLEMS = 50  # after which checking stops
_END_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<|end_of_text|>", "<|eom_id|>", "<|return|>"),
    *("</s>", "<eos>", "<end_of_turn>", "<pad>", "<|pad|>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
)


def _either(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Row(BaseModel):
    """One reply with its question and reference. Other keys of a line are ignored.

    Attributes:
        id: of the row; `key` in a run's samples. By default a hash of the content.
        question: without options.
        reference: the right answer, after its modality tag if it has one.
        completion: the reply as generated; `reply` in a run's samples.
        source: name of the data set; weights may depend on it.
        accepted: other wordings of the reference; also called `answers`.
        choices: the options of a multiple-choice question, in order.
        image: true, false, or the path(s) of the image(s), relative to the file. By default a row has an image when
            its reference has a modality tag.
        cut: generation ended at the length limit.
        rubric: criteria, `{criterion, points, tag}` each; a row with them needs no reference, which then is "".
        rationale: how an expert comes to the answer, as a text or a list of steps.
        group: name of the prompt's group, for signals that compare replies; `uid` in a run's samples. By default the
            rows with one question, reference, options, images and source are a group.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    id: Annotated[str | int | None, Field(validation_alias=_either("id", "key"))] = None
    question: str
    reference: str
    completion: Annotated[str, Field(validation_alias=_either("completion", "reply"))]
    source: Annotated[str | None, Field(validation_alias=_either("source", "data_source"))] = None
    accepted: Annotated[tuple[str, ...] | None, Field(validation_alias=_either("accepted", "answers"))] = None
    choices: tuple[str, ...] | None = None
    image: Annotated[bool | str | tuple[str, ...] | None, Field(validation_alias=_either("image", "images"))] = None
    cut: bool = False
    rubric: tuple[dict[str, Any], ...] | None = None
    rationale: tuple[str, ...] | str | None = None
    group: Annotated[str | int | None, Field(validation_alias=_either("group", "uid"))] = None

    @property
    def group_name(self) -> str:
        """The name of the row's group, the same for all its rows."""
        if self.group is not None:
            return f"group {self.group}"
        prompt = [self.question, self.reference, self.choices, self.image, self.source, self.rubric]
        return f"prompt {_digest(prompt):016x}"

    @property
    def has_image(self) -> bool:
        if self.image is None:
            return parse_reference(self.reference).modality is not None
        return bool(self.image)

    @property
    def image_paths(self) -> tuple[str, ...]:
        return (self.image,) if isinstance(self.image, str) else self.image if isinstance(self.image, tuple) else ()

    def images(self, folder: Path) -> list[bytes]:
        """Read the images' bytes.

        Raises:
            DataError: one cannot be read.
        """
        try:
            return [(folder / path).read_bytes() for path in self.image_paths]
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}", code="not-readable") from error

    @property
    def content(self) -> int:
        """64-bit hash of all fields but the group; the identity of a row."""
        later = {name for name in ("rubric", "rationale") if getattr(self, name) is None}  # as before there were any
        return _digest(self.model_dump(exclude={"group", *later}))

    @property
    def name(self) -> str:
        return f"{self.content:016x}" if self.id is None else str(self.id)

    def sample(self, reader: SampleReader, images: Sequence[bytes] = ()) -> Sample:
        """The row as a sample of the reward."""
        return reader.read(
            without_end_tokens(self.completion),
            reference=self.reference,
            has_image=self.has_image,
            question=self.question,
            choices=self.choices or (),
            images=images,
            source=self.source or "",
            cut=self.cut,
            accepted=self.accepted or (),
            rubric=self.rubric,
            rationale=steps_of(self.rationale),
        )


def _digest(value: object) -> int:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def without_end_tokens(reply: str) -> str:
    """Take off the tokens that end a turn, which decoding leaves out in training and a file of replies may hold."""
    while (shorter := reply.rstrip()).endswith(_END_TOKENS):
        reply = shorter.removesuffix(next(token for token in _END_TOKENS if shorter.endswith(token)))
    return reply


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True)
class Line(Generic[RowT]):
    """A row with its line number, counted from 1."""

    number: int
    row: RowT


def read(path: Path, kind: type[RowT]) -> Iterator[Line[RowT]]:
    """Yield the rows of a file that `check` has accepted.

    Raises:
        ConfigError: a line is not a row, because the file was changed meanwhile.
    """
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                try:
                    yield Line(number, kind.model_validate_json(text))
                except ValidationError as error:
                    raise ConfigError(_problems(error, f"{path}:{number}")) from error


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Row counts of a checked file: all rows, and occurrences of each content hash that occurs more than once."""

    count: int
    repeated: dict[int, int]


def reference_problems(row: Row, parser: str, where: str) -> list[Problem]:
    """A problem if no answer can score against the row's reference; none with the public parser, which scores it.

    Args:
        row: the row. One that says `image: false` may have brackets at the start of its reference.
        parser: of the reward.
        where: file and line, which begin the problem's key.
    """
    if row.rubric is not None:
        own = [problem.below(f"{where}: ") for problem in rubric_problems(row.rubric)]
        if own or not parse_reference(row.reference).answer:
            return own
    fault = None if parser == "public" else fault_of(row.reference, has_image=row.image is not False)
    if fault is None:
        return []
    text = fault.text + ("; image: false says that it is text" if fault.code == "unknown-tag" else "")
    return [Problem(f"{where}: reference", fault.code, text)]


def _reference_beside(text: bytes, parser: str, where: str) -> list[Problem]:
    """`reference_problems` of a line whose other fields are wrong, so that all its problems come together."""
    with contextlib.suppress(ValueError, RecursionError):  # no JSON, or too deep
        given = json.loads(text)
        if isinstance(given, dict) and isinstance(given.get("reference"), str):
            image = given.get("image", given.get("images"))
            row = Row(question="", reference=given["reference"], completion="", image=False if image is False else None)
            return reference_problems(row, parser, where)
    return []


def check(path: Path, kind: type[Row] = Row, *, parser: str = "strict", needs_images: bool = False) -> RowCounts:
    """Validate a whole file.

    Args:
        path: the file.
        kind: schema of a line.
        parser: of the reward.
        needs_images: whether image files must exist, because a signal uses them.

    Raises:
        ConfigError: the first `MAX_PROBLEMS` problems, each with its line.
    """
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ConfigError.of(str(path), "no-such-file", "there is no such file, or it may not be read")
    problems: list[Problem] = []
    contents, names = array("Q"), _Ids()
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = kind.model_validate_json(text)
            except ValidationError as error:
                problems += _problems(error, f"{path}:{number}")
                problems += _reference_beside(text, parser, f"{path}:{number}")
            else:
                contents.append(row.content)
                names.add(row, number)
                problems += reference_problems(row, parser, f"{path}:{number}")
                if needs_images:
                    missing = [name for name in row.image_paths if not (path.parent / name).is_file()]
                    problems += [
                        Problem(f"{path}:{number}: image", "no-such-image", f"{name} is not there") for name in missing
                    ]
            if len(problems) > MAX_PROBLEMS:
                problems[MAX_PROBLEMS:] = [
                    Problem(str(path), "many-bad-rows", f"and there may be more; reading ended at line {number}")
                ]
                raise ConfigError(problems)
    problems += [
        Problem(f"{path}:{number}: id", "repeated-id", "that of another line; ids must differ")
        for number in names.repeated()
    ]
    if not problems and not contents:
        problems.append(Problem(str(path), "no-rows", "holds no rows"))
    if problems:
        raise ConfigError(problems)
    values, counts = np.unique(np.frombuffer(contents, dtype=np.uint64), return_counts=True)
    several = counts > 1
    return RowCounts(len(contents), dict(zip(values[several].tolist(), counts[several].tolist(), strict=True)))


class _Ids:
    """Hashes of a file's ids, to find duplicates."""

    def __init__(self) -> None:
        self._hashes, self._lines = array("Q"), array("Q")

    def add(self, row: Row, number: int) -> None:
        if row.id is not None:
            digest = hashlib.sha256(str(row.id).encode()).digest()
            self._hashes.append(int.from_bytes(digest[:8], "big"))
            self._lines.append(number)

    def repeated(self) -> list[int]:
        """The first `MAX_PROBLEMS` lines whose id occurs in an earlier line."""
        if not self._hashes:
            return []
        hashes, lines = np.frombuffer(self._hashes, dtype=np.uint64), np.frombuffer(self._lines, dtype=np.uint64)
        _, first = np.unique(hashes, return_index=True)
        later = np.ones(len(hashes), dtype=bool)
        later[first] = False
        return [int(line) for line in lines[later][:MAX_PROBLEMS]]


def parse(text: str, where: str) -> Row:
    """Parse one row; `where` prefixes the problems.

    Raises:
        ConfigError: the text is not a row.
    """
    try:
        return Row.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(_problems(error, where)) from error


def find(path: Path, *, line: int | None = None, name: str | None = None) -> Line[Row]:
    """Find one row of a file, by its line number or its id.

    Raises:
        ConfigError: there is no such row, or that line is not a row.
    """
    if not path.is_file():
        raise ConfigError.of(str(path), "no-such-file", "there is no such file")
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if line is not None and number != line:
                continue
            try:
                row = Row.model_validate_json(text)
            except ValidationError as error:
                if line is None:
                    continue  # a line that is not a row has no id
                raise ConfigError(_problems(error, f"{path}:{number}")) from error
            if line is not None or row.name == name:
                return Line(number, row)
    raise ConfigError.of(
        str(path), "no-such-row", f"has no line {line}" if line is not None else f"has no row of id {name}"
    )


def _problems(error: ValidationError, where: str) -> list[Problem]:
    """The validation errors of a line as problems; the key is the line with the field."""
    found = []
    for wrong in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in wrong["loc"])
        text = wrong["msg"].removeprefix("Value error, ")
        found.append(Problem(f"{where}: {field}" if field else where, "not-a-row", text))
    return found
