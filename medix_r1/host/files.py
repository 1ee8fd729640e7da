"""Writes files atomically: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medix_r1.errors import DataError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it is fsynced and renamed to `path` at the end, or removed on an error.

    The temporary file is hidden, lies beside `path` and ends in `.part`. The folder is made if there is none.

    Raises:
        DataError: the file could not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror or error}", code="not-written") from error
    finally:  # also after Ctrl-C
        with suppress(OSError):
            temporary.unlink()


def atomic_write(path: Path, text: str, *, private: bool = False) -> None:
    r"""Write a text in UTF-8, atomically. A lone surrogate, which UTF-8 lacks, is written as `\ud800`, as in JSON.

    Args:
        path: of the file.
        text: all of it.
        private: whether this user alone may read it.

    Raises:
        DataError: the file could not be written.
    """
    with atomic_file(path) as temporary:
        if private:  # before there is anything in it that others could read
            temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
