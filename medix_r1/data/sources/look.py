"""Looks at the first records of a source: which columns there are, and which of those that are not read seem meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from medix_r1.data.meaning.text import is_missing, list_in_text
from medix_r1.data.sources.base import FIELDS, Reading, check_columns, column_names, lookup, pick
from medix_r1.errors import ConfigError
from medix_r1.grammar import parse_reference
from medix_r1.images.signs import is_picture

SAMPLED = 50  # records
_SUFFIX = re.compile(r"\.(?:png|jpe?g|webp|tiff?|bmp|gif|dcm|dicom|jp2|j2k|p[gp]m)$", re.IGNORECASE)
_PICTURE_NAME = re.compile(
    r"(?:image|img|picture|photo|figure|dicom|dcm|slide)s?[_ ]?(?:path|file|file_?name|name|bytes|\d+)?s?",
    re.IGNORECASE,
)
_ANSWER_NAME = re.compile(
    r"(?:gt|correct|right|final|gold|short|ground_truth)?[_ ]?"
    r"(?:answer|label|solution|target|response|reference|output|caption|report|truth)s?"
    r"(?:[_ ]?(?:label|text|idx|index|\d+))?",
    re.IGNORECASE,
)


def columns_of(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Names of the columns of some records, with those inside a mapping as `outer.inner`."""
    found: set[str] = set()
    for record in records:
        for name, value in record.items():
            found.add(name)
            if isinstance(value, Mapping):
                found |= {f"{name}.{inner}" for inner in value}
    return found


def look(
    records: Sequence[Mapping[str, Any]],
    reading: Reading,
    where: str,
    *,
    found: Iterable[str] = (),
    is_whole: bool,
    beside: bool = False,
) -> list[str]:
    """Check the columns of a file by some of its records; return what a user should hear about those not read.

    Args:
        records: the first ones.
        reading: of the source.
        where: name of the file.
        found: its columns, where they are known beside the records.
        is_whole: whether no other column can come.
        beside: whether a row without a picture gets the one beside its file.

    Raises:
        ConfigError: a column is missing, or rows with a tag have no picture while a column with pictures is not read.
    """
    check_columns({*found, *columns_of(records)}, reading, where, is_whole=is_whole)
    unread = [name for name in _unread(records, reading) if any(not is_missing(record.get(name)) for record in records)]
    pictures = [name for name in unread if _has_pictures(name, [record.get(name) for record in records])]
    answers = [name for name in unread if name not in pictures and _ANSWER_NAME.fullmatch(name)]
    if (
        pictures
        and not beside
        and "answer" in reading.required
        and any(_wants_a_picture(pick(record, reading.columns)) for record in records)
    ):
        value = pictures[0] if len(pictures) == 1 else f"[{','.join(pictures)}]"
        raise ConfigError.of(
            "data.columns.images",
            "pictures-not-read",
            f"rows of {where} have a tag and no picture, and there seem to be pictures in {_named(pictures)}; "
            f"read them with data.columns.images={value}",
        )
    return list(_notes(where, pictures, answers, unread))


def _notes(where: str, pictures: list[str], answers: list[str], unread: list[str]) -> Iterator[str]:
    if pictures:
        yield f"{where}: pictures seem to be in {_named(pictures)}, not read (data.columns.images)"
    if answers:
        yield f"{where}: answers seem to be in {_named(answers)}, not read (data.columns.answer, data.columns.accepted)"
    if others := [name for name in unread if name not in (*pictures, *answers)]:
        yield f"{where}: not read: {', '.join(others[:20])}{', …' * (len(others) > 20)}"


def _named(columns: Sequence[str]) -> str:
    return f"column{'s' * (len(columns) > 1)} {', '.join(columns)}"


def _unread(records: Sequence[Mapping[str, Any]], reading: Reading) -> list[str]:
    names = dict.fromkeys(name for record in records for name in record)
    read = {name for field in FIELDS for name in column_names(reading.columns, field)} | set(reading.where or ())
    tops = {name.partition(".")[0].casefold() for name in read} | {name.casefold() for name in read}
    twins = Counter(name.casefold() for name in names)  # of two that differ in case, one is read
    exact = {name.partition(".")[0] for name in read} | read
    return [name for name in names if name.casefold() not in tops or (twins[name.casefold()] > 1 and name not in exact)]


def _has_pictures(name: str, values: Sequence[Any]) -> bool:
    told = [value for value in values if not is_missing(value)]
    if any(_is_picture(value) for value in told):
        return True
    return bool(_PICTURE_NAME.fullmatch(name)) and all(
        isinstance(value, str | bytes | Mapping | list) for value in told
    )


def _is_picture(value: Any) -> bool:
    if isinstance(value, str) and (listed := list_in_text(value)) is not None:
        value = listed
    if isinstance(value, list):
        return bool(value) and all(_is_picture(item) for item in value)
    if isinstance(value, Mapping):
        return any(_is_picture(lookup(value, key)) for key in ("bytes", "path"))
    if isinstance(value, bytes):
        return is_picture(value)
    return isinstance(value, str) and (value.startswith("data:image") or bool(_SUFFIX.search(value.strip())))


def _wants_a_picture(fields: Mapping[str, Any]) -> bool:
    if not is_missing(fields.get("images")):
        return False
    answer = fields.get("answer")
    first = answer[0] if isinstance(answer, list) and answer else answer
    in_answer = isinstance(first, str) and parse_reference(first).modality
    return bool(in_answer) or not is_missing(fields.get("tag"))
