"""Validates a raw row and turns it into one to train on: types, question, answers, tag, choices, images, length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from medix_r1.data.lengths.fit import shrink_to_fit
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.meaning import pictures
from medix_r1.data.meaning.options import AnswerIs, Options, read_options, resolve
from medix_r1.data.meaning.pictures import image_bytes
from medix_r1.data.meaning.tags import tag_in, tag_of
from medix_r1.data.meaning.text import as_text, is_missing, list_in_text, texts, unwrapped
from medix_r1.data.row import (
    IMAGE_MARK,
    CheckedRow,
    PromptLength,
    RawRow,
    Reason,
    RowRejected,
)
from medix_r1.errors import DataError
from medix_r1.grammar import ModalityTag, ThinkElement, parse_reference
from medix_r1.images.decode import prepare_image
from medix_r1.images.rules import ImageRejected, ImageRules, PreparedImage
from medix_r1.models.rationale import steps_of
from medix_r1.models.rubric import Criterion, criteria_of, rubric_problems
from medix_r1.prompts.policy import policy_prompt
from medix_r1.wording.spelling import is_gradable

__all__ = ["MeasuredRow", "RowRules", "check_row", "image_bytes", "texts_of"]

_PROBLEMS = 5  # of one rubric that a rejected row names
_OTHER_MEDIA = ("<video>", "<audio>")  # verl would look for a video or audio file


@dataclass(frozen=True, slots=True)
class RowRules:
    """How rows are validated and turned into prompts; configs/prepare/prepare.yaml describes each key."""

    image: ImageRules
    default_source: str
    default_tag: str | None = None
    think_element: ThinkElement = "think"
    confidence: bool = False
    instructions: bool = True
    max_prompt_tokens: int = 4352
    overlong: Literal["shrink", "set_aside"] = "shrink"
    tags: Mapping[str, str] = field(default_factory=dict)
    answer_is: AnswerIs | None = None
    answer_list: Literal["alternatives", "all"] = "alternatives"
    question_until: str | None = None


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
    question = _required(raw, "question").strip()
    if rules.question_until:
        question = question.partition(rules.question_until)[0].strip()
    options = read_options(raw.fields.get("choices"))
    cells = pictures.picture_cells(raw.fields.get("images"))
    placed = pictures.place(question, options.texts, cells)
    _check_question(placed)
    images = _images(placed, raw, rules)
    row = _check_text(raw, rules, placed, options, images)
    _check_control_tokens(row, options, counter)
    prompt = policy_prompt(
        row.question,
        num_images=len(images),
        choices=row.choices,
        think_element=rules.think_element,
        confidence=rules.confidence,
        instructions=rules.instructions,
    )
    return _measure(row, prompt, rules, counter)


def _images(placed: pictures.Placed, raw: RawRow, rules: RowRules) -> tuple[PreparedImage, ...]:
    try:
        return tuple(
            prepare_image(pictures.read_cell(cell, raw.root, rules.image, hide_names=raw.hide_names), rules.image)
            for cell in placed.images
        )
    except ImageRejected as problem:
        raise RowRejected(Reason(problem.reason.value), problem.detail) from problem


def _measure(row: CheckedRow, prompt: str, rules: RowRules, counter: PromptCounter) -> MeasuredRow:
    length = counter.length(prompt, [(image.width, image.height) for image in row.images])
    if length.total <= rules.max_prompt_tokens:
        return MeasuredRow(row, prompt, length)
    if rules.overlong == "set_aside" or not row.images:
        raise RowRejected(Reason.TOO_LONG, f"{length.total} tokens; max_prompt_tokens is {rules.max_prompt_tokens}")
    images = shrink_to_fit(row.images, counter.rule, rules.max_prompt_tokens - length.text)
    length = counter.length(prompt, [(image.width, image.height) for image in images])
    return MeasuredRow(replace(row, images=images), prompt, length)


def _check_question(placed: pictures.Placed) -> None:
    if not placed.question.replace(IMAGE_MARK, "").strip():
        raise RowRejected(Reason.EMPTY_QUESTION, "the question is empty")


def _check_text(
    raw: RawRow, rules: RowRules, placed: pictures.Placed, options: Options, images: tuple[PreparedImage, ...]
) -> CheckedRow:
    rubric = _rubric(raw)
    tag, answers = _tag_and_answers(raw, rules, has_image=bool(images), has_rubric=bool(rubric))
    if options.texts and any(answers):
        answers = _chosen(answers, placed, options, rules.answer_is)
    return CheckedRow(
        row_id=raw.where,
        given_id=_optional(raw, "id"),
        source=_optional(raw, "source").strip() or rules.default_source,
        question=placed.question,
        answers=answers,
        tag=tag,
        choices=placed.choices,
        images=images,
        rubric=rubric,
        rationale=_rationale(raw),
    )


def _chosen(
    answers: tuple[str, ...], placed: pictures.Placed, options: Options, answer_is: AnswerIs | None
) -> tuple[str, ...]:
    """The options that the answers mean; further wordings need not be options."""
    shown = dict(zip(options.texts, placed.choices, strict=True))
    chosen = [shown[resolve(answers[0], options, answer_is)]]
    for answer in answers[1:]:
        try:
            chosen.append(shown[resolve(answer, options, answer_is)])
        except RowRejected:
            chosen.append(answer)
    return tuple(dict.fromkeys(chosen))


def _rubric(raw: RawRow) -> tuple[Criterion, ...]:
    """The criteria of a row, which it need not have; a list of them, or one in text."""
    value = raw.fields.get("rubric")
    if isinstance(value, str) and value.strip():
        listed = list_in_text(value)
        value = value if listed is None else listed
    if is_missing(value):
        return ()
    if problems := rubric_problems(value):
        says = "; ".join(map(str, problems[:_PROBLEMS]))
        raise RowRejected(Reason.WRONG_RUBRIC, f"{says}; data.columns.rubric=null reads no rubrics")
    return criteria_of(value)


def _rationale(raw: RawRow) -> tuple[str, ...]:
    """The steps of a row's rationale, which it need not have; a list of them, in text or not, or a text."""
    value = raw.fields.get("rationale")
    if is_missing(value):
        return ()
    listed = list_in_text(value) if isinstance(value, str) else None
    try:
        return steps_of(value if listed is None else listed)
    except DataError as error:
        raise RowRejected(Reason.WRONG_TYPE, f"{error}; data.columns.rationale=null reads none") from error


def _tag_and_answers(
    raw: RawRow, rules: RowRules, *, has_image: bool, has_rubric: bool
) -> tuple[str | None, tuple[str, ...]]:
    answers = [*_answers(raw, rules.answer_list), *texts("accepted", raw.fields.get("accepted"))]
    stated = tag_of(raw.fields.get("tag"), rules.tags)
    said, first = tag_in(answers[0], rules.tags, expected=has_image and stated is None) if answers else (None, "")
    if stated and said and stated != said:
        raise RowRejected(Reason.UNKNOWN_TAG, f"the tag says {stated}, the answer says {said}")
    tag = stated or said or (rules.default_tag if has_image else None)
    if tag is None and has_image:
        raise RowRejected(Reason.MISSING_TAG, "a row with an image needs a modality tag, or set default_tag")
    if tag not in (None, ModalityTag.OTHER) and not has_image:
        raise RowRejected(
            Reason.MISSING_IMAGE,
            f"the row has the tag {tag} and no picture; name its column in data.columns.images, or leave the tag out",
        )
    wordings = tuple(dict.fromkeys([first, *(parse_reference(answer).answer for answer in answers[1:])]))
    if has_rubric and not any(wordings):
        return tag, ("",)  # the rubric says what is right
    if not answers or not all(is_gradable(text) for text in wordings):
        raise RowRejected(Reason.EMPTY_ANSWER, "an answer is empty or has no letter or digit")
    return tag, wordings


def _answers(raw: RawRow, answer_list: str) -> list[str]:
    """The answer, or a list of them. A cell such as `[3]` is text: only a list of texts is a list."""
    value = raw.fields.get("answer")
    if isinstance(value, str):
        listed = list_in_text(value)
        is_list = listed is not None and all(isinstance(item, str) for item in listed)
        value = listed if is_list else [value]
    found = list(map(unwrapped, texts("answer", value)))
    return [", ".join(found)] if answer_list == "all" and len(found) > 1 else found


def _check_control_tokens(row: CheckedRow, options: Options, counter: PromptCounter) -> None:
    text = "\n".join((row.question, *row.choices))
    found = [token for token in (*counter.control_tokens, *_OTHER_MEDIA) if token in text]
    if found or any(IMAGE_MARK in text.lower() for text in options.texts):
        raise RowRejected(Reason.CONTROL_TOKEN, f"the question holds {', '.join(found) or IMAGE_MARK}")


def _required(raw: RawRow, name: str) -> str:
    value = raw.fields.get(name)
    return "" if is_missing(value) and value is not None else as_text(name, value)


def _optional(raw: RawRow, name: str) -> str:
    value = raw.fields.get(name)
    return "" if is_missing(value) else as_text(name, value)


def texts_of(raw: RawRow) -> tuple[str, list[str]]:
    """A row's question and choices, without validating the rest.

    Raises:
        RowRejected: one of them is not text.
    """
    return as_text("question", raw.fields.get("question")), [
        text for text in read_options(raw.fields.get("choices")).texts if text
    ]
