"""Reads `labels.yaml`: the demo's questions, accepted answers, and labels of each source picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from medix_r1.errors import DataError
from medix_r1.grammar import ModalityTag
from medix_r1.host.yaml_text import parse_yaml

Split = Literal["train", "heldout"]
ROTATION = "rotation"
"""The question type whose answer depends on how the view was rotated, not on the source's labels."""


@dataclass(frozen=True, slots=True)
class Package:
    """A PyPI package that contains images, with the licence that it states."""

    name: str
    version: str
    licence: str
    note: str


@dataclass(frozen=True, slots=True)
class QuestionType:
    """One kind of question: its wordings, and for each fact the accepted answers, the reference first."""

    name: str
    questions: tuple[str, ...]
    facts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """One real picture and its labels.

    Attributes:
        id: unique name.
        package, path, sha256: package that contains the file, path in it, checksum.
        licence: of the picture.
        modality: kind of image.
        split: whether it is trained on.
        upright: whether rotation questions are asked about it.
        facts: from question type to fact.
        frame: of a DICOM file.
        axis, index: slice of a volume.
        box: crop as shares (left, top, right, bottom) of the size.
        flip: applied to the file's rows.
        min_crop: smallest side of a view, as a share of the picture's.
    """

    id: str
    package: str
    path: str
    sha256: str
    licence: str
    modality: ModalityTag
    split: Split
    upright: bool
    facts: Mapping[str, str]
    frame: int = 0
    axis: int = 2
    index: int = 0
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    flip: Literal["none", "vertical"] = "none"
    min_crop: float = 0.72


@dataclass(frozen=True, slots=True)
class Labels:
    """The content of labels.yaml.

    Attributes:
        packages, question_types: by name.
        sources: all pictures.
        think, hedges: sentences of the warm start: reasoning, and answers that commit to nothing.
        rotations: from fact of the question type `rotation` to degrees counter-clockwise.
    """

    packages: Mapping[str, Package]
    question_types: Mapping[str, QuestionType]
    sources: tuple[Source, ...]
    think: tuple[str, ...]
    hedges: tuple[str, ...]
    rotations: Mapping[str, int]

    def pairs(self, split: Split) -> Iterator[tuple[Source, str]]:
        """Yield every (source, question type) that is asked in a split, in the file's order."""
        for source in self.sources:
            if source.split == split:
                yield from ((source, name) for name in source.facts)
                if source.upright:
                    yield source, ROTATION

    def answers(self, question_type: str, fact: str) -> tuple[str, ...]:
        """Return the accepted wordings of a fact, the reference first."""
        return self.question_types[question_type].facts[fact]


def read_text() -> str:
    """Return the text of labels.yaml."""
    return (files(__package__) / "labels.yaml").read_text(encoding="utf-8")


@cache
def load() -> Labels:
    """Read the labels shipped with the package."""
    return parse(parse_yaml(read_text()))


def parse(raw: Mapping[str, Any]) -> Labels:
    """Build the labels from parsed YAML.

    Raises:
        DataError: a source names an unknown package, question type or fact; all of them are listed.
    """
    packages = {name: Package(name=name, **fields) for name, fields in raw["packages"].items()}
    types = {
        name: QuestionType(name, tuple(q["questions"]), {fact: tuple(a) for fact, a in q["facts"].items()})
        for name, q in raw["question_types"].items()
    }
    labels = Labels(
        packages=packages,
        question_types=types,
        sources=tuple(_source(entry, packages) for entry in raw["sources"]),
        think=tuple(raw["think"]),
        hedges=tuple(raw["hedges"]),
        rotations=raw["rotations"],
    )
    if problems := list(_problems(labels)):
        raise DataError("labels.yaml: " + "; ".join(problems), code="labels-do-not-fit")
    return labels


def _source(entry: Mapping[str, Any], packages: Mapping[str, Package]) -> Source:
    fields = dict(entry)
    if fields["package"] not in packages:
        raise DataError(
            f"labels.yaml: source {fields['id']} names package {fields['package']}, which is not listed",
            code="no-such-package",
        )
    fields.setdefault("licence", packages[fields["package"]].licence)
    fields["modality"] = ModalityTag(fields["modality"])
    # The modality is both the tag and the answer to a question; the file has it once.
    fields["facts"] = {"modality": fields["modality"].value, **fields["facts"]}
    if "box" in fields:
        fields["box"] = tuple(fields["box"])
    return Source(**fields)


def _problems(labels: Labels) -> Iterator[str]:
    if set(labels.rotations) != set(labels.question_types[ROTATION].facts):
        yield "rotations and the facts of question type rotation differ"
    for source in labels.sources:
        for name, fact in source.facts.items():
            if name not in labels.question_types:
                yield f"source {source.id} has unknown question type {name}"
            elif fact not in labels.question_types[name].facts:
                yield f"source {source.id} has unknown fact {name}: {fact}"
