"""One row of training data: raw, checked, and in verl's schema.

`sources/` yields `RawRow`; `check.py` turns it into `CheckedRow` or raises `RowRejected`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from medix_r1.data.normalise import question_key
from medix_r1.errors import DataError
from medix_r1.images.rules import PreparedImage
from medix_r1.models.rubric import Criterion

IMAGE_MARK = "<image>"


class Reason(StrEnum):
    """Why a row is rejected."""

    WRONG_TYPE = "wrong_type"
    EMPTY_QUESTION = "empty_question"
    EMPTY_ANSWER = "empty_answer"
    MISSING_TAG = "missing_tag"
    UNKNOWN_TAG = "unknown_tag"
    WRONG_CHOICE = "wrong_choice"
    WRONG_RUBRIC = "wrong_rubric"
    IMAGE_MARKS = "image_marks"
    CONTROL_TOKEN = "control_token"
    MISSING_IMAGE = "missing_image"
    PATH_OUTSIDE = "path_outside"
    CORRUPT_IMAGE = "corrupt_image"
    IMAGE_BOMB = "image_bomb"
    SEVERAL_FRAMES = "several_frames"
    UNSUPPORTED_IMAGE = "unsupported_image"
    ASPECT_RATIO = "aspect_ratio"
    TOO_LONG = "too_long"


class RowRejected(DataError):
    """The row cannot be used; the detail says what to fix."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason.value}: {detail}", code=reason.value)

    def __reduce__(self) -> tuple[type[RowRejected], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as read from a source, not validated.

    Attributes:
        where: file and row number; unique within a source, used as the row's id.
        fields: by our field names (`FIELDS` of sources/base.py), values as in the file.
        root: folder or zip archive that image paths are relative to and may not leave; None when paths are not allowed.
        problem: why the row could not be parsed; None when it could.
        hide_names: errors about the row name no file.
    """

    where: str
    fields: Mapping[str, Any]
    root: str | None = None
    problem: str | None = None
    hide_names: bool = False


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row that can be trained on."""

    row_id: str
    given_id: str
    source: str
    question: str
    answers: tuple[str, ...]  # the reference, then accepted alternatives
    tag: str | None
    choices: tuple[str, ...]  # "" where an option is missing, so that the others keep their letters
    images: tuple[PreparedImage, ...]
    rubric: tuple[Criterion, ...] = ()
    rationale: tuple[str, ...] = ()

    def key(self) -> bytes:
        """16-byte key of texts, tag and image bytes; exact duplicates have equal keys."""
        looked_for = (f"{criterion.points:g} {criterion.text}" for criterion in self.rubric)
        pictures = (image.sha256 for image in self.images)
        parts = (
            self.question,
            self.tag or "",
            *self.answers,
            "",
            *self.choices,
            "",
            *pictures,
            *looked_for,
            *self.rationale,
        )
        return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()

    def text_key(self) -> bytes:
        """16-byte key of the normalised question and choices."""
        return question_key(self.question, [choice for choice in self.choices if choice])


@dataclass(frozen=True, slots=True)
class PromptLength:
    """Tokens of a prompt; verl compares `total` with data.max_prompt_length."""

    text: int
    image: int

    @property
    def total(self) -> int:
        return self.text + self.image


_IMAGE = pa.struct(
    [("bytes", pa.binary()), ("path", pa.string()), ("min_pixels", pa.int64()), ("max_pixels", pa.int64())]
)
_CRITERION = pa.struct([("criterion", pa.string()), ("points", pa.float64()), ("tags", pa.list_(pa.string()))])
VERL_SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("images", pa.list_(_IMAGE)),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("index", pa.int64()),
                    ("row_id", pa.string()),
                    ("id", pa.string()),
                    ("question", pa.string()),
                    ("answers", pa.list_(pa.string())),
                    ("choices", pa.list_(pa.string())),
                    ("source", pa.string()),
                    ("modality", pa.string()),
                    ("image_facts", pa.list_(pa.string())),
                    ("difficulty", pa.float64()),
                    ("rubric", pa.list_(_CRITERION)),
                    ("rationale", pa.list_(pa.string())),
                ]
            ),
        ),
    ]
)
_INDEX_IMAGE = pa.struct(
    [
        ("sha256", pa.string()),
        ("phash", pa.uint64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("converted", pa.string()),
        ("shrunk", pa.bool_()),
        ("facts", pa.string()),
    ]
)
INDEX_SCHEMA = pa.schema(
    [
        ("row_id", pa.string()),
        ("source", pa.string()),
        ("tag", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("num_answers", pa.int32()),
        ("num_choices", pa.int32()),
        ("text_tokens", pa.int32()),
        ("image_tokens", pa.int32()),
        ("row_key", pa.binary(16)),
        ("text_key", pa.binary(16)),
        ("images", pa.list_(_INDEX_IMAGE)),
    ]
)


def to_verl(row: CheckedRow, prompt: str, min_pixels: int | None, max_pixels: int | None) -> dict[str, Any]:
    """The row in verl's columns; `index` is filled in when shards are written.

    Args:
        row: a checked row.
        prompt: the user message, with one `<image>` for each image.
        min_pixels: verl's image loader scales smaller images up to it; None leaves the loader's default.
        max_pixels: verl's image loader scales larger images down to it; None leaves the loader's default.
    """
    limits = {"path": None, "min_pixels": min_pixels, "max_pixels": max_pixels}
    return {
        "data_source": row.source,
        "prompt": [{"role": "user", "content": prompt}],
        "images": [{"bytes": image.content, **limits} for image in row.images],
        "ability": "vqa" if row.images else "qa",
        "reward_model": {"style": "medix", "ground_truth": _ground_truth(row)},
        "extra_info": {
            "index": 0,
            "row_id": row.row_id,
            "id": row.given_id,
            "question": row.question.replace(IMAGE_MARK, " ").strip(),
            "answers": [answer for answer in row.answers if answer],  # none, in a row with a rubric alone
            "choices": list(row.choices),
            "source": row.source,
            "modality": row.tag,
            "image_facts": list(dict.fromkeys(fact for image in row.images for fact in image.facts)),
            "difficulty": None,  # how hard a model finds the question, for those who measure it
            "rubric": [{"criterion": one.text, "points": one.points, "tags": list(one.tags)} for one in row.rubric],
            "rationale": list(row.rationale),
        },
    }


def _ground_truth(row: CheckedRow) -> str:
    return f"<{row.tag}>\n{row.answers[0]}" if row.tag else row.answers[0]


def to_index(row: CheckedRow, length: PromptLength) -> dict[str, Any]:
    """The row's entry in the index, from which statistics and leak checks work without reading images."""
    return {
        "row_id": row.row_id,
        "source": row.source,
        "tag": row.tag,
        "question": row.question,
        "answer": row.answers[0],
        "num_answers": sum(map(bool, row.answers)),
        "num_choices": sum(map(bool, row.choices)),
        "text_tokens": length.text,
        "image_tokens": length.image,
        "row_key": row.key(),
        "text_key": row.text_key(),
        "images": [
            {name: getattr(image, name) for name in ("sha256", "phash", "width", "height", "format", "converted")}
            | {"bytes": len(image.content), "shrunk": image.shrunk, "facts": "+".join(image.facts)}
            for image in row.images
        ],
    }
