"""The options of a multiple-choice question, in every form in which sets have them, and which of them an answer means.

A list; a mapping from letters; `{text: […], label: […]}`; a list of `{letter, content}`; each of these as text; lines
such as `A. left`; one column each. An option that is missing keeps its letter, so that the others keep theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal, get_args

from medix_r1.data.meaning.text import as_text, is_missing, list_in_text, literal_in_text, shown
from medix_r1.data.row import Reason, RowRejected
from medix_r1.wording.spelling import normalize_answer

AnswerIs = Literal["letter", "text", "number", "number_from_1"]
ANSWER_IS = get_args(AnswerIs)
MAX_CHOICES = len(ascii_uppercase)
_LABEL_KEYS = ("letter", "label", "key", "id", "option")
_TEXT_KEYS = ("content", "text", "value", "option", "answer")
_MARK = re.compile(r"\s*[(\[]?\s*([A-Za-z]|\d{1,2})\s*[)\].:、：](?!\d)\s*", re.ASCII)
_LABEL = re.compile(
    r"\s*(?:option|choice|answer)?\s*[:(\[]?\s*([A-Za-z]|\d{1,2})\s*[)\].:]?\s*", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Options:
    """Texts of the options, by the place that gives each its letter, and the labels that the set itself uses.

    Attributes:
        texts: "" at a place whose option is missing; the last is not.
        labels: of each place, as answers name it, in lower case.
    """

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def read_options(value: Any) -> Options:
    """The options of a cell, or of a list of cells.

    Raises:
        RowRejected: one option alone, more than 26, or one that is no text.
    """
    if is_missing(value):
        return Options()
    labels, texts = _labelled(_opened(value))
    labels, texts = _marked(labels, texts)
    while texts and not texts[-1]:
        labels, texts = labels[:-1], texts[:-1]
    count = sum(map(bool, texts))
    if count == 1:
        raise RowRejected(
            Reason.WRONG_CHOICE, f"one option alone ({shown(max(texts, key=len))}); a list of options is needed"
        )
    if len(texts) > MAX_CHOICES:
        raise RowRejected(Reason.WRONG_CHOICE, f"{len(texts)} choices; at most {MAX_CHOICES} have a letter")
    return Options(tuple(texts), tuple(label.casefold() for label in labels))


def _opened(value: Any) -> Any:
    """The list or mapping that a text holds, or its lines if each begins with its letter."""
    if not isinstance(value, str):
        return value
    if (found := list_in_text(value)) is not None:
        return found
    if value.lstrip().startswith("{") and isinstance(found := literal_in_text(value.strip()), Mapping):
        return found
    lines = [line for line in value.splitlines() if line.strip()]
    return lines if len(lines) > 1 and _own_marks(lines) else [value]


def _labelled(value: Any) -> tuple[list[str], list[str]]:
    if isinstance(value, Mapping):
        texts, labels = value.get("text", value.get("texts")), value.get("label", value.get("labels"))
        if isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels):
            pairs = list(zip(labels, texts, strict=True))
        else:
            pairs = list(value.items())
        return _in_order([(as_text("choices", label).strip(), text) for label, text in pairs])
    values = list(value) if isinstance(value, list | tuple) else [value]
    if values and all(isinstance(item, Mapping) for item in values if not is_missing(item)):
        return _in_order([_label_and_text(item) for item in values if not is_missing(item)])
    return list(ascii_uppercase[: len(values)]) + [""] * (len(values) - MAX_CHOICES), [_text(item) for item in values]


def _label_and_text(item: Mapping[str, Any]) -> tuple[str, Any]:
    label = next((key for key in _LABEL_KEYS if not is_missing(item.get(key))), None)
    text = next((key for key in _TEXT_KEYS if key != label and key in item), None)
    if label is None or text is None:
        raise RowRejected(Reason.WRONG_TYPE, f"an option has the fields {', '.join(map(str, item))}; a text is needed")
    return as_text("choices", item[label]).strip(), item[text]


def _in_order(pairs: Sequence[tuple[str, Any]]) -> tuple[list[str], list[str]]:
    """Labels and texts by letter or number, with a place for each letter in between; other labels keep their order."""
    by_label = {label.upper(): text for label, text in pairs}
    if by_label and all(len(label) == 1 and label in ascii_uppercase for label in by_label):
        labels = list(ascii_uppercase[: ascii_uppercase.index(max(by_label)) + 1])
        return labels, [_text(by_label.get(label)) for label in labels]
    if by_label and all(label.isdecimal() for label in by_label):
        pairs = sorted(pairs, key=lambda pair: int(pair[0]))
    return [label for label, _ in pairs], [_text(text) for _, text in pairs]


def _text(value: Any) -> str:
    return "" if is_missing(value) else as_text("choices", value).strip()


def _marked(labels: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    """Take `A:`, `(B)`, `3.` off, if every option has its own; their letters or numbers are then the labels."""
    if not (marks := _own_marks(texts)):
        return labels, texts
    return marks, [_MARK.sub("", text, count=1).strip() for text in texts]


def _own_marks(texts: Sequence[str]) -> list[str]:
    """The marks of texts that each begin with that of their place; empty if one does not, as `A. fumigatus` may not.

    A missing text has the mark of its place.
    """
    found = [_MARK.match(text) for text in texts]
    for marks in (list(ascii_uppercase[: len(texts)]), [str(n) for n in range(1, len(texts) + 1)]):
        fit = [
            match is not None and match[1].upper() == mark and bool(text[match.end() :].strip())
            for match, mark, text in zip(found, marks, texts, strict=False)
            if text
        ]
        if len(fit) > 1 and all(fit):
            return marks
    return []


def resolve(answer: str, options: Options, answer_is: AnswerIs | None) -> str:
    """The text of the option that an answer means.

    Args:
        answer: an option's text, its letter (`B`, `(b)`, `B.`), both (`B. heart`), or its number with such `answer_is`.
        options: of the row.
        answer_is: the only way to read it; None: by text or letter, which may not name two options.

    Raises:
        RowRejected: it means no option, or two.
    """
    if answer_is in ("number", "number_from_1"):
        return _by_number(answer, options, 1 if answer_is == "number_from_1" else 0)
    same = [place for place, text in enumerate(options.texts) if text and _same(text, answer)]
    lettered = _place_of(_LABEL, answer, options)
    if answer_is == "text":
        lettered = None
    elif answer_is == "letter":
        same = []
    if lettered is not None and same and lettered not in same:
        raise RowRejected(
            Reason.WRONG_CHOICE,
            f"the answer {shown(answer)} is the letter of one option and the text of another; "
            "set data.answer_is to letter or text",
        )
    if lettered is not None:
        return _chosen(lettered, answer, options)
    if len(same) > 1:
        raise RowRejected(
            Reason.WRONG_CHOICE, f"{len(same)} options are {shown(answer)}; give the letter of the right one"
        )
    if same:
        return options.texts[same[0]]
    return _by_mark(answer, options, answer_is)


def _by_mark(answer: str, options: Options, answer_is: AnswerIs | None) -> str:
    """`B. heart`: the letter and the text have to agree."""
    match = _MARK.match(answer)
    if match and answer_is != "text" and (place := _place(match[1], options)) is not None:
        if _same(options.texts[place], answer[match.end() :]):
            return options.texts[place]
        raise RowRejected(
            Reason.WRONG_CHOICE, f"the answer {shown(answer)} names option {match[1].upper()}, whose text is another"
        )
    hint = ""
    if answer.strip().isdecimal():
        hint = "; if it counts the options, set data.answer_is to number (from 0) or number_from_1"
    raise RowRejected(Reason.WRONG_CHOICE, f"the answer {shown(answer)} is none of the choices, nor a letter{hint}")


def _by_number(answer: str, options: Options, first: int) -> str:
    if not answer.strip().isdecimal() or not 0 <= (place := int(answer) - first) < len(options.texts):
        raise RowRejected(
            Reason.WRONG_CHOICE,
            f"the answer {shown(answer)} counts no option from {first} to {first + len(options.texts) - 1} "
            "(data.answer_is)",
        )
    return _chosen(place, answer, options)


def _chosen(place: int, answer: str, options: Options) -> str:
    if not options.texts[place]:
        raise RowRejected(Reason.WRONG_CHOICE, f"the answer {shown(answer)} is an option that has no text")
    return options.texts[place]


def _place_of(pattern: re.Pattern[str], answer: str, options: Options) -> int | None:
    match = pattern.fullmatch(answer)
    return _place(match[1], options) if match else _place(answer.strip(), options)


def _place(label: str, options: Options) -> int | None:
    label = label.casefold()
    if label in options.labels:
        return options.labels.index(label)
    letters = ascii_uppercase[: len(options.texts)].casefold()
    return letters.index(label) if len(label) == 1 and label in letters else None


def _same(left: str, right: str) -> bool:
    return normalize_answer(left) == normalize_answer(right)
