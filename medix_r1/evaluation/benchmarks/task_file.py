"""Checks a task's file: which field is wrong, and which values it may have. docs/extend/task.md has the same table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from medix_r1 import user_code
from medix_r1.errors import ConfigError, Problem
from medix_r1.evaluation.benchmarks.formats import COLUMNS, FORMATS
from medix_r1.evaluation.benchmarks.tasks import SCORERS, Access, Kind
from medix_r1.host.yaml_text import read_yaml

_CHOICES: Mapping[str, Sequence[str]] = {"kind": get_args(Kind), "access": get_args(Access)}
_TEXTS = ("name", "split", "licence")
_OPTIONAL_TEXTS = (
    "path", "revision", "file", "answers", "question", "question_until", "archive", "image_dir", "image_host", "source"
)  # fmt: skip
_SCORER_OF = {"conversation": "rubric", "preference": "preference"}
_ORG_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def load_task_file(path: Path) -> dict[str, Any]:
    """The content of a task's file.

    Raises:
        ConfigError: it cannot be read, is not YAML or not a mapping.
    """
    try:
        tree = read_yaml(path, unique=True)
    except OSError as error:
        raise ConfigError.of(str(path), "not-readable", f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError.of(str(path), "not-yaml", f"is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError.of(
            str(path), "not-a-mapping", "holds no `key: value` lines; docs/extend/task.md has a whole file"
        )
    return tree


def field_problems(task: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Every field of a task with a value that it cannot have, each with the values that it may have.

    Args:
        task: the fields that are there, by name.
        where: config key of the task, such as `tasks.mine`.
    """
    for name, value in task.items():
        wrong = _wrong(name, value)
        if wrong is not None:
            yield Problem(f"{where}.{name}", *wrong)
    columns, form = task.get("columns"), task.get("format")
    if isinstance(columns, Mapping) and isinstance(form, str) and form in COLUMNS:
        yield from _column_problems(columns, form, has_question=task.get("question") is not None, where=where)
    scorer = task.get("scorer")
    if isinstance(form, str) and form in FORMATS and scorer in SCORERS:
        yield from _pair_problems(form, str(scorer), where)


def _wrong(name: str, value: Any) -> tuple[str, str] | None:
    """Code and text of what is wrong with a field's value; None for a good one."""
    if name in _CHOICES:
        known = _CHOICES[name]
        return None if value in known else ("not-a-choice", f"{value!r} is none of {', '.join(known)}")
    if name in ("headline", "restricted"):
        return None if isinstance(value, bool) else ("not-a-choice", f"{value!r} is neither true nor false")
    if name in _TEXTS or (name in _OPTIONAL_TEXTS and value is not None):
        if not isinstance(value, str) or not value.strip():
            return "not-text", f"{value!r} is no text; put it into quotes"
        if name == "path" and not _ORG_NAME.fullmatch(value):
            return "not-a-data-set", f"{value!r} is not ORG/NAME; for a file of your own give path: null and file"
        if name == "image_host" and not value.startswith("https://"):
            return "not-an-address", f"{value!r} does not begin with https://"
    if name == "config" and value and not _are_names(value):
        return "not-a-list", f"{value!r} is no list of names; [] where the data set has one configuration"
    if name in ("files", "suites") and value and not _are_names(value):
        return "not-a-list", f"{value!r} is no list of names; [] for none"
    if name in ("columns", "where", "image") and not isinstance(value, Mapping):
        return "not-a-mapping", f"{value!r} is not a mapping, such as {{question: Frage, answer: Antwort}}"
    if name in ("format", "scorer"):
        known = (*FORMATS,) if name == "format" else SCORERS
        if not isinstance(value, str) or not (value in known or user_code.is_reference(value)):
            return "not-a-choice", f"{value!r} is none of {', '.join(known)}, and no ./file.py:name or module:name"
    return None


def _column_problems(columns: Mapping[str, Any], form: str, *, has_question: bool, where: str) -> Iterator[Problem]:
    needed, optional = COLUMNS[form][0], (*COLUMNS[form][1], "id")
    for name in needed:
        if name not in columns and not (name == "question" and has_question):
            yield Problem(f"{where}.columns.{name}", "no-value", f"has no value; format {form} reads it from a column")
    for name, column in columns.items():
        if name not in (*needed, *optional):
            yield Problem(
                f"{where}.columns.{name}", "no-such-key", f"format {form} knows {', '.join((*needed, *optional))}"
            )
        elif not isinstance(column, str) and not (name in ("choices", "images") and _are_names(column)):
            yield Problem(f"{where}.columns.{name}", "not-text", f"{column!r} is not the name of a column")


def _pair_problems(form: str, scorer: str, where: str) -> Iterator[Problem]:
    """A scorer of ours that finds nothing to score in the rows of this format of ours."""
    wanted = _SCORER_OF.get(form)
    if wanted is not None and scorer != wanted:
        says = f"{scorer!r} cannot score format {form}; write {wanted}, or a function of your own"
        yield Problem(f"{where}.scorer", "not-for-this-format", says)
    elif wanted is None and scorer in _SCORER_OF.values():
        (its,) = (name for name, value in _SCORER_OF.items() if value == scorer)
        says = f"{scorer!r} scores format {its} alone, or a format of your own; for {form} write short or report"
        yield Problem(f"{where}.scorer", "not-for-this-format", says)


def _are_names(value: Any) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return bool(value) and all(isinstance(entry, str) for entry in value)
