"""Text cells: what is missing, how a value of another type is written, and lists inside text.

Missing are null, empty text, NaN, and lists or mappings of nothing else. The words None, NA, null and nan are words:
the option of a real question.
"""

from __future__ import annotations

import ast
import datetime
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from medix_r1.data.row import Reason, RowRejected

_MAX_LITERAL = 100_000  # characters; ast needs memory of many times that
_MOST_EXACT = 2**53  # above it, a float stands for several integers
_SHOWN = 60
_WITHOUT_COMMAS = re.compile(r"""\[\s*(?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+\s*\]""")
_WRAPPED = re.compile(
    r"\s*(?:<think(?:ing)?>.*</think(?:ing)?>\s*)?<answer>(.*)</answer>\s*|\s*\\boxed\{(.*)\}\s*",
    re.DOTALL | re.IGNORECASE,
)
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: null, white space, NaN, or a list or mapping of such values."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Mapping):
        return all(is_missing(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_missing(item) for item in value)
    return isinstance(value, bytes) and not value


def shown(value: Any) -> str:
    """A value as an error may show it: short, so that a picture in base64 is never printed or stored whole."""
    text = value if isinstance(value, str) else repr(value) if isinstance(value, int | float | bool) else ""
    text = text or f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def as_text(name: str, value: Any) -> str:
    """A cell as text; 24.0, which pandas makes of 24 in a column with a gap, is 24.

    Raises:
        RowRejected: it is a list, a mapping, true or false, infinite, or not valid UTF-8.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        raise RowRejected(
            Reason.WRONG_TYPE, f"{name} is {str(value).lower()}, not text; write the words, as in yes or no"
        )
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, float) and math.isfinite(value):
        text = str(int(value)) if value.is_integer() and abs(value) < _MOST_EXACT else repr(value)
    elif isinstance(value, Decimal):
        text = format(value, "f")
    elif isinstance(value, datetime.datetime) and value.time() == datetime.time():
        text = value.date().isoformat()  # a column of dates that was read as times
    elif isinstance(value, datetime.date | datetime.time):
        text = value.isoformat()
    elif isinstance(value, bytes):
        text = value.decode("utf-8", errors="surrogateescape")
    else:
        kind = "missing" if value is None else f"{type(value).__name__}, not text"
        raise RowRejected(Reason.WRONG_TYPE, f"{name} is {kind}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowRejected(
            Reason.WRONG_TYPE, f"{name} is not valid UTF-8; an old Excel file is data.encoding=cp1252"
        ) from error
    return text.replace("\0", "")


def unwrapped(text: str) -> str:
    r"""An answer without the marks in which sets of reasoning models have it: `<answer>…</answer>`, `\boxed{…}`."""
    match = _WRAPPED.fullmatch(text)
    return next(found for found in match.groups() if found is not None).strip() if match else text


def list_in_text(text: str) -> list[Any] | None:
    """The list that a text cell holds, as JSON, Python or numpy writes it; None if it is plain text."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    if len(text) <= _MAX_LITERAL and _WITHOUT_COMMAS.fullmatch(
        text
    ):  # numpy's: ['left' 'right'], which Python would join
        return [single or double for single, double in _QUOTED.findall(text)]
    value = literal_in_text(text)
    return value if isinstance(value, list) else None


def literal_in_text(text: str) -> Any:
    """A value written as JSON or as a Python literal (no code is run); None if it is neither."""
    try:
        return json.loads(text)  # may hold pictures, and be long
    except (ValueError, RecursionError):
        pass
    if len(text) > _MAX_LITERAL:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def texts(name: str, value: Any) -> list[str]:
    """A cell with one or several texts: a list, a list in text, or one text. Nulls are left out; an empty text is not.

    Raises:
        RowRejected: as `as_text`.
    """
    if isinstance(value, str) and (found := list_in_text(value)) is not None:
        value = found
    if is_missing(value) and not isinstance(value, list | tuple):
        return []
    values = value if isinstance(value, list | tuple) else [value]
    return [as_text(name, item).strip() for item in values if isinstance(item, str) or not is_missing(item)]
