"""Validates a raw row and turns it into one to train on: types, question, answers, tag, choices, images, length."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from medix_r1.data.fit import shrink_to_fit
from medix_r1.data.row import (
    IMAGE_MARK,
    CheckedRow,
    PromptLength,
    RawRow,
    Reason,
    RowRejected,
)
from medix_r1.data.tokens import PromptCounter
from medix_r1.grammar import ModalityTag, ThinkElement, parse_reference
from medix_r1.images.decode import prepare_image
from medix_r1.images.rules import ImageRejected, ImageRules, PreparedImage
from medix_r1.prompts.policy import policy_prompt
from medix_r1.rewards.references import like_a_tag, unknown_tag
from medix_r1.wording.spelling import is_gradable, normalize_answer

_OTHER_MEDIA = ("<video>", "<audio>")  # verl would look for a video or audio file
_MAX_CHOICES = len(ascii_uppercase)


@dataclass(frozen=True, slots=True)
class RowRules:
    """How rows are validated and turned into prompts; configs/prepare/prepare.yaml describes each key."""

    image: ImageRules
    default_source: str
    default_tag: str | None = None
    think_element: ThinkElement = "think"
    instructions: bool = True
    max_prompt_tokens: int = 4352
    overlong: Literal["shrink", "set_aside"] = "shrink"


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """A checked row with its prompt and the prompt's length in tokens."""

    row: CheckedRow
    prompt: str
    length: PromptLength


def check_row(raw: RawRow, rules: RowRules, counter: PromptCounter) -> MeasuredRow:
    """Validate one row, convert its images and measure its prompt.

    Raises:
        RowRejected: with the reason and the fix.
    """
    if raw.problem is not None:
        raise RowRejected(Reason.WRONG_TYPE, raw.problem)
    try:
        images = tuple(prepare_image(content, rules.image) for content in image_bytes(raw, rules.image))
    except ImageRejected as problem:
        raise RowRejected(Reason(problem.reason.value), problem.detail) from problem
    row = _check_text(raw, rules, images)
    _check_control_tokens(row, counter)
    prompt = policy_prompt(
        row.question,
        num_images=len(images),
        choices=row.choices,
        think_element=rules.think_element,
        instructions=rules.instructions,
    )
    return _measure(row, prompt, rules, counter)


def _measure(row: CheckedRow, prompt: str, rules: RowRules, counter: PromptCounter) -> MeasuredRow:
    length = counter.length(prompt, [(image.width, image.height) for image in row.images])
    if length.total <= rules.max_prompt_tokens:
        return MeasuredRow(row, prompt, length)
    if rules.overlong == "set_aside" or not row.images:
        raise RowRejected(Reason.TOO_LONG, f"{length.total} tokens; max_prompt_tokens is {rules.max_prompt_tokens}")
    images = shrink_to_fit(row.images, counter.rule, rules.max_prompt_tokens - length.text)
    length = counter.length(prompt, [(image.width, image.height) for image in images])
    return MeasuredRow(replace(row, images=images), prompt, length)


def _check_text(raw: RawRow, rules: RowRules, images: tuple[PreparedImage, ...]) -> CheckedRow:
    question = _text(raw, "question").strip()
    marks = question.count(IMAGE_MARK)
    if not question.replace(IMAGE_MARK, "").strip():
        raise RowRejected(Reason.EMPTY_QUESTION, "the question is empty")
    if marks not in (0, len(images)):
        raise RowRejected(Reason.IMAGE_MARKS, f"{marks} {IMAGE_MARK} mark(s) for {len(images)} image(s)")
    choices = tuple(_texts(raw, "choices"))
    tag, answers = _tag_and_answers(raw, rules, has_image=bool(images))
    return CheckedRow(
        row_id=raw.where,
        given_id=_text(raw, "id", default=""),
        source=_text(raw, "source", default="").strip() or rules.default_source,
        question=question,
        answers=_resolve_choice(answers, choices),
        tag=tag,
        choices=choices,
        images=images,
    )


def _tag_and_answers(raw: RawRow, rules: RowRules, *, has_image: bool) -> tuple[str | None, tuple[str, ...]]:
    answers = [*_texts(raw, "answer"), *_texts(raw, "accepted")]
    first = parse_reference(answers[0]) if answers else None
    stated = _text(raw, "tag", default="").strip().strip("<>").upper().replace(" ", "_").replace("-", "_") or None
    if first is not None and first.modality is None and has_image and (name := like_a_tag(answers[0])):
        raise RowRejected(Reason.UNKNOWN_TAG, unknown_tag(name))
    if first is not None and stated and first.modality and stated != first.modality:
        raise RowRejected(Reason.UNKNOWN_TAG, f"the tag says {stated}, the answer says {first.modality}")
    tag = stated or (first.modality if first else None) or (rules.default_tag if has_image else None)
    if tag is not None and tag not in ModalityTag.__members__:
        raise RowRejected(Reason.UNKNOWN_TAG, unknown_tag(tag))
    if tag is None and has_image:
        raise RowRejected(Reason.MISSING_TAG, "a row with an image needs a modality tag, or set default_tag")
    texts = tuple(dict.fromkeys(parse_reference(answer).answer for answer in answers))
    if not texts or not all(is_gradable(text) for text in texts):
        raise RowRejected(Reason.EMPTY_ANSWER, "an answer is empty or has no letter or digit")
    return tag, texts


def _resolve_choice(answers: tuple[str, ...], choices: tuple[str, ...]) -> tuple[str, ...]:
    """Map the first answer, a choice's text or letter, to that choice; without choices return the answers unchanged."""
    if not choices:
        return answers
    if len(choices) > _MAX_CHOICES:
        raise RowRejected(Reason.WRONG_CHOICE, f"{len(choices)} choices; at most {_MAX_CHOICES} have a letter")
    by_text = {normalize_answer(choice): choice for choice in choices}
    by_letter = {letter.lower(): choice for letter, choice in zip(ascii_uppercase, choices, strict=False)}
    key = normalize_answer(answers[0])
    chosen = by_text.get(key) or by_letter.get(key)
    if chosen is None:
        raise RowRejected(Reason.WRONG_CHOICE, f"the answer {answers[0]!r} is none of the choices, nor a letter")
    return (chosen, *(answer for answer in answers[1:] if answer != chosen))


def _check_control_tokens(row: CheckedRow, counter: PromptCounter) -> None:
    text = "\n".join((row.question, *row.choices))
    found = [token for token in (*counter.control_tokens, *_OTHER_MEDIA) if token in text]
    if found or any(IMAGE_MARK in choice for choice in row.choices):
        raise RowRejected(Reason.CONTROL_TOKEN, f"the question holds {', '.join(found) or IMAGE_MARK}")


def _text(raw: RawRow, name: str, default: str | None = None) -> str:
    value = raw.fields.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowRejected(Reason.WRONG_TYPE, f"{name} is {type(value).__name__}, not text")
    return _checked_unicode(name, str(value))


def _texts(raw: RawRow, name: str) -> list[str]:
    value = raw.fields.get(name)
    if isinstance(value, str) and value.lstrip().startswith("["):  # a list inside a CSV cell
        with contextlib.suppress(json.JSONDecodeError):  # an answer may start with a bracket
            value = json.loads(value)
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    for item in values:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise RowRejected(Reason.WRONG_TYPE, f"{name} holds {type(item).__name__}, not text")
    return [_checked_unicode(name, str(item)).strip() for item in values]


def _checked_unicode(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowRejected(Reason.WRONG_TYPE, f"{name} is not valid UTF-8") from error
    return text.replace("\0", "")


def image_bytes(raw: RawRow, rules: ImageRules) -> list[bytes]:
    """Read the bytes of a row's images, each given as bytes, a path, a data URI, or the hub's {bytes, path}.

    Raises:
        RowRejected: an image cannot be read.
    """
    value = raw.fields.get("images")
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _texts(raw, "images")
    if value is None or value == "":
        return []
    return [_one_image(item, raw.root, rules) for item in (value if isinstance(value, list) else [value])]


def _one_image(item: Any, root: str | None, rules: ImageRules) -> bytes:
    if isinstance(item, dict):
        item = item.get("bytes") if item.get("bytes") is not None else item.get("path")
    if isinstance(item, bytes):
        return item
    if not isinstance(item, str):
        raise RowRejected(Reason.WRONG_TYPE, f"an image is {type(item).__name__}; wanted are bytes, a path or base64")
    if item.startswith("data:"):
        try:
            return base64.b64decode(item.partition(",")[2], validate=True)
        except (binascii.Error, ValueError) as error:
            raise RowRejected(Reason.CORRUPT_IMAGE, f"its base64 is damaged: {error}") from error
    return _from_file(item, root, rules)


def _from_file(name: str, root: str | None, rules: ImageRules) -> bytes:
    if root is None:
        raise RowRejected(Reason.MISSING_IMAGE, f"{name} is a path, and this source has no image folder")
    folder = Path(root).resolve()
    try:
        path = (folder / name).resolve()
        content = _read_inside(path, folder, rules)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise RowRejected(Reason.MISSING_IMAGE, f"{name}: {getattr(error, 'strerror', None) or error}") from error
    if content is None:
        raise RowRejected(Reason.PATH_OUTSIDE, f"{name} leaves {folder}; set data.image_root")
    return content


def _read_inside(path: Path, folder: Path, rules: ImageRules) -> bytes | None:
    if not path.is_relative_to(folder):
        return None
    with path.open("rb") as file:
        return file.read(int(rules.max_mebibytes * 2**20) + 1)


def texts_of(raw: RawRow) -> tuple[str, list[str]]:
    """A row's question and choices, without validating the rest.

    Raises:
        RowRejected: one of them is not text.
    """
    return _text(raw, "question"), _texts(raw, "choices")
