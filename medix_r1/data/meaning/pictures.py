"""Picture cells: which pictures a row has, where they stand in its text, and their bytes.

A picture is bytes, a path, a data URI, base64, or the hub's {bytes, path}. `<image 2>` in a text is the second picture,
of a list or of the columns; `<image>` are all of them, in order.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medix_r1.data.meaning.picture_files import picture_in_file
from medix_r1.data.meaning.text import is_missing, list_in_text, literal_in_text, shown
from medix_r1.data.row import IMAGE_MARK, RawRow, Reason, RowRejected
from medix_r1.images.rules import ImageRules
from medix_r1.images.signs import is_picture

_NUMBERED = re.compile(r"<image[\s_\-#]{0,2}(\d{1,2})>", re.IGNORECASE)
_PLAIN = re.compile(re.escape(IMAGE_MARK), re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\-\s]+")
_SHORTEST = 64  # characters of base64; a shorter one is a name, for no picture is so small
_INSIDE = ("bytes", "path", "image", "image_url", "url", "data", "base64", "file_name")  # keys of one picture


@dataclass(frozen=True, slots=True)
class Placed:
    """A question and its options with one `<image>` for each picture, and the pictures in the order of their marks."""

    question: str
    choices: tuple[str, ...]
    images: tuple[Any, ...]


def picture_cells(value: Any) -> list[Any]:
    """A row's pictures by number: a missing one is None, so that the others keep their numbers."""
    if isinstance(value, str) and (found := list_in_text(value)) is not None:
        value = found
    cells = list(value) if isinstance(value, list | tuple) else [value]
    cells = [None if is_missing(cell) else cell for cell in cells]
    while cells and cells[-1] is None:
        cells.pop()
    return cells


def place(question: str, choices: Sequence[str], cells: Sequence[Any]) -> Placed:
    """Put numbered marks in order; pictures that no mark names come first, as they do without any mark.

    Raises:
        RowRejected: a numbered mark has no picture, or `<image>` marks are not as many as the pictures.
    """
    order: list[Any] = []
    named: set[int] = set()

    def mark(match: re.Match[str]) -> str:
        number = int(match[1])
        if not 1 <= number <= len(cells) or cells[number - 1] is None:
            raise RowRejected(Reason.IMAGE_MARKS, f"{match[0]} has no picture; the row has {_count(cells)}")
        named.add(number)
        order.append(cells[number - 1])
        return IMAGE_MARK

    question = _PLAIN.sub(IMAGE_MARK, question)  # verl knows no capitals
    plain = question.count(IMAGE_MARK)
    marked = _NUMBERED.sub(mark, question)
    options = tuple(_NUMBERED.sub(mark, choice) for choice in choices)
    if not named:
        if plain not in (0, _count(cells)):
            raise RowRejected(Reason.IMAGE_MARKS, f"{plain} {IMAGE_MARK} mark(s) for {_count(cells)} image(s)")
        return Placed(question, tuple(choices), tuple(cell for cell in cells if cell is not None))
    if plain:
        raise RowRejected(
            Reason.IMAGE_MARKS, f"marks with and without a number; write {IMAGE_MARK} or <image 1>, not both"
        )
    first = [cell for number, cell in enumerate(cells, 1) if cell is not None and number not in named]
    return Placed(IMAGE_MARK * len(first) + marked, options, (*first, *order))


def _count(cells: Sequence[Any]) -> int:
    return sum(cell is not None for cell in cells)


def image_bytes(raw: RawRow, rules: ImageRules) -> list[bytes]:
    """The bytes of all of a row's pictures, in the order of the cells.

    Raises:
        RowRejected: a picture cannot be read.
    """
    cells = picture_cells(raw.fields.get("images"))
    return [read_cell(cell, raw.root, rules, hide_names=raw.hide_names) for cell in cells if cell is not None]


def read_cell(item: Any, root: str | None, rules: ImageRules, *, hide_names: bool = False) -> bytes:
    """The bytes of one picture.

    Args:
        item: bytes, a path, a data URI, base64, or a mapping that holds one of them.
        root: folder or zip archive that paths are relative to and may not leave; None when paths are not allowed.
        rules: how large a file may be.
        hide_names: errors do not name the file.

    Raises:
        RowRejected: it cannot be read.
    """
    if isinstance(item, str) and item.lstrip().startswith("{"):
        item = literal_in_text(item) or item
    while isinstance(item, Mapping):
        item = next((item[key] for key in _INSIDE if not is_missing(item.get(key))), None)
    if isinstance(item, bytes):
        return item
    if isinstance(item, list) and item and all(isinstance(byte, int) and 0 <= byte < 256 for byte in item):
        return bytes(item)  # bytes as JSON has them
    if not isinstance(item, str):
        raise RowRejected(Reason.WRONG_TYPE, f"an image is {type(item).__name__}; wanted are bytes, a path or base64")
    text = item.strip()
    if text[:5].lower() == "data:":
        return _decoded(text.partition(",")[2])
    if (content := _bare_base64(text)) is not None:
        return content
    if text[:7].lower() in ("http://", "https:/", "s3://", "gs://"):
        raise RowRejected(Reason.MISSING_IMAGE, f"{shown(text)} is an address, which is not fetched; give the file")
    return picture_in_file(text, root, rules, hide_names=hide_names)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowRejected(Reason.CORRUPT_IMAGE, f"its base64 is damaged: {error}") from error


def _bare_base64(text: str) -> bytes | None:
    """The picture that base64 without `data:` holds; None for a path. `/9j/…` is a JPEG, and looks like a path."""
    if len(text) < _SHORTEST or not _BASE64.fullmatch(text):
        return None
    standard = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    head = standard[: 4 * (min(len(standard), 512) // 4)]
    try:
        begins = base64.b64decode(head, validate=True)
    except binascii.Error:
        return None
    return _decoded(standard + "=" * (-len(standard) % 4)) if is_picture(begins) else None
