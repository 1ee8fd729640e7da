"""Row formats: how one row of a data set becomes the parts of a sample.

A task's YAML names one of `FORMATS`, or a function of the user's own.

sources.py reads the rows; items.py makes samples with ids of the parts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError, DataError
from medix_r1.evaluation.benchmarks.preference import preference_question, preferred
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.models.rubric import Criterion, criteria_of
from medix_r1.wording.spelling import normalize_answer

Row = Mapping[str, Any]
ROLES = ("system", "user", "assistant")

_OPTION_MARK = re.compile(r"^\s*\(?([A-Za-z])\s*[).:]\s*")
_MAX_LITERAL = 50_000  # characters; MMMU's longest list of options has a few hundred


@dataclass(frozen=True, slots=True)
class Parts:
    """The content of a row, independent of its column names.

    Attributes:
        question: without options.
        context: passage that the question is about, or "".
        choices: texts of the options, in order; empty for a free answer.
        reference: text of the right answer.
        letter: letter of the right option; None for a free answer.
        images: for each image, the number of its `<image N>` mark (0 without one) and its path of keys in the row.
        modality: kind of image, when the row has it.
        turns: (role, text) of what was said before the question, in a conversation.
        criteria: what the reply is judged by, for the scorer `rubric`.
        answer_type: closed or open, or a word of the row's own, when the row says it.
    """

    question: str
    reference: str
    context: str = ""
    choices: tuple[str, ...] = ()
    letter: str | None = None
    images: tuple[tuple[int, tuple[str | int, ...]], ...] = ()
    modality: str | None = None
    turns: tuple[tuple[str, str], ...] = ()
    criteria: tuple[Criterion, ...] = ()
    answer_type: str | None = None


def choice_index(row: Row, task: TaskSpec) -> Parts:
    """MMLU, MedMCQA, MedQA: the answer is an index; the options are a list or one column each."""
    names = task.columns["choices"]
    choices = _value(row, names) if isinstance(names, str) else [_option(row, name) for name in names]
    index = _value(row, task.columns["answer"])
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(choices):
        raise DataError(
            f"answer {index!r} is not the index of one of {len(choices)} options", code="answer-not-an-option"
        )
    return _choice(row, task, choices, index)


def choice_mapping(row: Row, task: TaskSpec) -> Parts:
    """USMLE self assessment, PMC-VQA: the answer is a letter or an option's text; options: mapping, list or columns."""
    names = task.columns["choices"]
    raw = _value(row, names) if isinstance(names, str) else [_option(row, name) for name in names]
    if isinstance(raw, Mapping):
        choices = _by_letter(raw)
    else:
        choices = _without_marks(_texts(_list_in_text(raw) if isinstance(raw, str) else raw))
    return _choice(row, task, choices, _index_of(str(_value(row, task.columns["answer"])), choices))


def choice_letter(row: Row, task: TaskSpec) -> Parts:
    """MedXpertQA, MMMU-Pro, MedFrameQA, MedBullets, SuperGPQA: the answer is a letter; options as for mapping."""
    names = task.columns["choices"]
    raw = _value(row, names) if isinstance(names, str) else [_option(row, name) for name in names]
    choices = (
        _by_letter(raw) if isinstance(raw, Mapping) else _texts(_list_in_text(raw) if isinstance(raw, str) else raw)
    )
    return _choice(row, task, choices, _letters_index(_text(row, task.columns["answer"]), choices))


def pubmedqa(row: Row, task: TaskSpec) -> Parts:
    """PubMedQA: all contexts; the options are the decisions yes, no and maybe."""
    contexts = _value(row, task.columns["context"])
    if isinstance(contexts, Mapping):
        contexts = contexts["contexts"]
    decision, choices = _value(row, task.columns["answer"]), ("yes", "no", "maybe")
    if decision not in choices:
        raise DataError(f"final decision {decision!r} is not yes, no or maybe", code="answer-not-an-option")
    context = contexts if isinstance(contexts, str) else "\n\n".join(contexts)
    return _choice(row, task, choices, choices.index(decision), context=context)


def open_answer(row: Row, task: TaskSpec) -> Parts:
    """A free answer: the VQA sets, reports, MedPix."""
    context = task.columns.get("context")
    return Parts(
        question=_question(row, task),
        context=_text(row, context) if context else "",
        reference=_text(row, task.columns["answer"]),
        images=_images(row, task),
        modality=_modality(row, task),
        answer_type=_plain(row, task.columns.get("answer_type")),
    )


def sections(row: Row, task: TaskSpec) -> Parts | None:
    """IU X-Ray, CheXpert Plus: a report of two sections; a row in which both are empty is not asked."""
    told = [(name, _plain(row, task.columns[name])) for name in ("findings", "impression")]
    text = " ".join(f"{name.capitalize()}: {section}" for name, section in told if section)
    if not text:
        return None
    return Parts(_question(row, task), text, images=_images(row, task), modality=_modality(row, task))


def conversation(row: Row, task: TaskSpec) -> Parts:
    """HealthBench: the turns of a conversation, the last of them the question, and the criteria of its rubric."""
    turns = _value(row, task.columns["conversation"])
    if isinstance(turns, str) or not isinstance(turns, Sequence):
        raise DataError("the conversation is no list of {role, content}", code="not-a-conversation")
    said = [_turn(number, turn) for number, turn in enumerate(turns, start=1)]
    if not said or said[-1][0] != "user":
        raise DataError("the conversation does not end with a turn of the user", code="not-a-conversation")
    criteria = criteria_of(_value(row, task.columns["rubric"]))
    return Parts(
        said[-1][1],
        "",
        turns=tuple(said[:-1]),
        criteria=criteria,
        images=_images(row, task),
        modality=_modality(row, task),
    )


def preference(row: Row, task: TaskSpec) -> Parts:
    """Med-RewardBench: two answers to one question; the reference is what people chose in six respects."""
    first, second = (_text(row, task.columns[name]) for name in ("first", "second"))
    return Parts(
        preference_question(_question(row, task), first, second),
        preferred(_value(row, task.columns["answer"])),
        images=_images(row, task),
        modality=_modality(row, task),
    )


def mmmu(row: Row, task: TaskSpec) -> Parts:
    """MMMU: options are a Python list in text, images are numbered, `question_type` open means a free answer."""
    choices = _list_in_text(str(row.get(task.columns["choices"]) or "[]"))
    answer = _text(row, task.columns["answer"])
    if str(row.get(task.columns["type"])) == "open" or not choices:
        return Parts(
            question=_question(row, task),
            reference=answer,
            images=_images(row, task),
            modality=_modality(row, task),
        )
    is_letter = len(answer) == 1 and answer.upper() in ascii_uppercase[: len(choices)]
    return _choice(row, task, choices, _letters_index(answer, choices) if is_letter else _index_of(answer, choices))


Format = Callable[[Row, TaskSpec], Parts | None]
"""A row's parts; None leaves the row out."""
FORMATS: Mapping[str, Format] = {
    "choice_index": choice_index,
    "choice_mapping": choice_mapping,
    "choice_letter": choice_letter,
    "pubmedqa": pubmedqa,
    "open": open_answer,
    "mmmu": mmmu,
    "sections": sections,
    "conversation": conversation,
    "preference": preference,
}
_ANY = ("images", "modality", "rationale")
COLUMNS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "choice_index": (("question", "choices", "answer"), _ANY),
    "choice_mapping": (("question", "choices", "answer"), _ANY),
    "choice_letter": (("question", "choices", "answer"), _ANY),
    "pubmedqa": (("question", "context", "answer"), _ANY),
    "open": (("question", "answer"), ("context", "answer_type", *_ANY)),
    "mmmu": (("question", "choices", "answer", "type"), _ANY),
    "sections": (("question", "findings", "impression"), _ANY),
    "conversation": (("conversation", "rubric"), _ANY),
    "preference": (("question", "first", "second", "answer"), _ANY),
}
"""Format -> the names that `columns` has to give, `question` only where the task has none of its own; and may give."""


def load_format(name: str, key: str) -> Format:
    """One of `FORMATS`, or the user's own function, whose exceptions become `DataError`.

    Raises:
        ConfigError: `name` is neither a format nor a reference to a function.
    """
    if name in FORMATS:
        return FORMATS[name]
    if not user_code.is_reference(name):
        raise ConfigError.of(key, "not-a-choice", f"'{name}' is none of {', '.join(FORMATS)}, and no ./file.py:name")
    function = user_code.load(name, key)
    if not callable(function):
        raise ConfigError.of(key, "not-a-function", f"{name} is {type(function).__name__}, no function")

    def own(row: Row, task: TaskSpec) -> Parts | None:
        try:
            parts = function(row, task)
        except DataError:
            raise
        except Exception as error:  # user code may raise anything
            raise DataError(f"{name} raised {type(error).__name__}: {error}", code="raised") from error
        if parts is None or isinstance(parts, Parts):
            return parts
        raise DataError(f"{name} gave {type(parts).__name__} instead of Parts", code="not-a-row")

    return own


def _choice(row: Row, task: TaskSpec, choices: Sequence[Any], index: int, context: str = "") -> Parts:
    texts = _texts(choices)
    while texts and not texts[-1]:
        texts.pop()
    if index >= len(texts) or not texts[index]:
        raise DataError(f"the right option, {ascii_uppercase[index]}, has no text", code="answer-not-an-option")
    return Parts(
        question=_question(row, task),
        context=context,
        choices=tuple(texts),
        reference=texts[index],
        letter=ascii_uppercase[index],
        images=_images(row, task),
        modality=_modality(row, task),
    )


def _index_of(answer: str, choices: Sequence[str]) -> int:
    """Index of the option that an answer gives by text or letter; text is compared first."""
    same = [i for i, choice in enumerate(choices) if choice and normalize_answer(choice) == normalize_answer(answer)]
    if len(same) == 1:
        return same[0]
    letter = answer.strip().rstrip(".)").lstrip("(").upper()
    if not same and len(letter) == 1 and letter in ascii_uppercase[: len(choices)]:
        return ascii_uppercase.index(letter)
    marked = _OPTION_MARK.sub("", answer)
    if marked != answer:
        return _index_of(marked, choices)
    raise DataError(f"answer {answer!r} is not one of the options {list(choices)}", code="answer-not-an-option")


def _letters_index(answer: str, choices: Sequence[str]) -> int:
    """Index of the option whose letter the answer is, whatever the options' texts are."""
    letter = answer.strip().strip("().").upper()
    if len(letter) == 1 and letter in ascii_uppercase[: len(choices)]:
        return ascii_uppercase.index(letter)
    raise DataError(
        f"answer {answer!r} is not the letter of one of {len(choices)} options", code="answer-not-an-option"
    )


def _without_marks(choices: list[str]) -> list[str]:
    """Strip `A:`, `B:`, ... only when every option has its own mark, so that `A. fumigatus` stays whole."""
    marks = [match[1].upper() if (match := _OPTION_MARK.match(choice)) else "" for choice in choices]
    marked = any(choices) and all(
        mark == letter or not choice for mark, letter, choice in zip(marks, ascii_uppercase, choices, strict=False)
    )
    return [_OPTION_MARK.sub("", choice) for choice in choices] if marked else choices


def _texts(choices: Iterable[Any]) -> list[str]:
    """The options' texts; a missing option keeps its place, and so the letters of the others, as an empty text."""
    return ["" if choice is None else str(choice).strip() for choice in choices]


def _by_letter(options: Mapping[str, Any]) -> list[str]:
    """Options by letter in their places; Arrow adds the letters that other rows have."""
    letters = {str(key).strip().upper(): value for key, value in options.items()}
    if set(letters) <= set(ascii_uppercase):
        return _texts(letters.get(letter) for letter in ascii_uppercase[: ascii_uppercase.index(max(letters)) + 1])
    return _texts(options[key] for key in sorted(options))


def _option(row: Row, column: str) -> Any:
    """The option in a column, which may be empty but not absent."""
    return row[column] if column in row else _value(row, column)


def _list_in_text(text: str) -> list[str]:
    """Parse `"['a', 'b']"`: literals only, no code is run, bounded in length."""
    if len(text) > _MAX_LITERAL:
        raise DataError(f"options of {len(text)} characters are not a list of options", code="not-options")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise DataError(f"options {text[:80]!r} are not a list in text", code="not-options") from error
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f"options {text[:80]!r} are not a list of texts", code="not-options")
    return value


def _question(row: Row, task: TaskSpec) -> str:
    if task.question:
        return task.question
    text = _text(row, task.columns["question"])
    return text.split(task.question_until)[0].strip() or text if task.question_until else text


def _turn(number: int, turn: Any) -> tuple[str, str]:
    role, text = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
    if role not in ROLES or not isinstance(text, str) or not text.strip():
        raise DataError(f"turn {number} has no text, or a role that is none of {', '.join(ROLES)}", code="not-a-turn")
    return role, text.strip()


def _images(row: Row, task: TaskSpec) -> tuple[tuple[int, tuple[str | int, ...]], ...]:
    columns = task.columns.get("images")
    if columns is None:
        return ()
    if not isinstance(columns, str):  # one column for each image: the n-th belongs to the mark <image n>
        numbered = enumerate(columns, start=1)
        return tuple((number, (column,)) for number, column in numbered if row.get(column) is not None)
    if columns in row and row[columns] in (None, "", []):
        return ()  # a question of text alone among those with pictures
    value = _value(row, columns)
    if isinstance(value, list):
        return tuple((0, (columns, index)) for index in range(len(value)))
    return ((0, (columns,)),)


def _plain(row: Row, column: str | None) -> str | None:
    """The text of a column that may be absent or empty."""
    value = row.get(column) if column else None
    return str(value).strip() or None if value is not None else None


def _modality(row: Row, task: TaskSpec) -> str | None:
    column = task.columns.get("modality")
    value = row.get(column) if column else None
    if value in (None, ""):
        return None
    text = str(value)
    return ", ".join(_list_in_text(text)) if text.startswith("['") else text  # MMMU: "['CT', 'MRI']"


def _value(row: Row, column: str) -> Any:
    if row.get(column) is None:
        raise DataError(
            f"column {column!r} is missing or empty; there are {', '.join(sorted(row))}", code="no-such-column"
        )
    return row[column]


def _text(row: Row, column: str) -> str:
    text = str(_value(row, column)).strip()
    if not text:
        raise DataError(f"column {column!r} is empty", code="empty-column")
    return text
