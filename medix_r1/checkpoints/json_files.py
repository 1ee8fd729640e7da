"""Reads JSON files of a checkpoint, which anybody may have written."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from medix_r1.errors import CheckpointError

LARGEST = 64_000_000  # bytes; the tokenizers of the supported models have 12 million


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing, no regular file, too large, or no JSON object in UTF-8.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}", code="file-unreadable") from None
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{path}: not a regular file", code="not-a-file")
    if status.st_size > LARGEST:
        raise CheckpointError(
            f"{path}: {status.st_size / 1e6:.0f} MB, more than any such file has ({LARGEST / 1e6:.0f} MB)",
            code="json-too-large",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_constant)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}", code="file-unreadable") from None
    except (ValueError, RecursionError) as error:  # ValueError: also what is no UTF-8
        raise CheckpointError(f"{path}: no JSON: {str(error).splitlines()[0][:200]}", code="json-unreadable") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: a {type(content).__name__} instead of an object", code="json-not-an-object")
    return content


def _constant(word: str) -> float:
    """NaN is refused: no setting means it, and readers answer nothing with it."""
    if word == "NaN":
        raise ValueError("NaN is no number")
    return float(word)
