"""Text files as people have them: plain or compressed, UTF-8 or another encoding, with lines that may be too long.

Lines come as UTF-8 bytes with the position after each. Only plain UTF-8 files can be entered anywhere; others are read
from their beginning, so they are cut into few units.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from medix_r1.errors import DataError

MAX_LINE = 512 * 2**20  # bytes; a line may hold images as base64
MOST_UNITS = 16  # of a file that cannot be entered anywhere
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_BOMS_OF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)  # the first begins as that of UTF-16
_ELSEWHERE = {b"PK\x03\x04": "a zip archive or an Excel workbook", b"PAR1": "parquet (data=parquet)"}


class TooLong(bytes):
    """Stands for a line of more than `MAX_LINE` bytes, whose content was skipped."""


class Lines:
    """Lines of one open file; `position` is that after the last line, in bytes of what was read, `count` the lines."""

    def __init__(self, file: BinaryIO, offset: int, *, is_plain: bool) -> None:
        self._file, self.position, self.count = file, 0, 0
        if is_plain:
            file.seek(offset)
            self.position = offset
        else:
            while self.position < offset and self._next():
                pass

    def __iter__(self) -> Iterator[bytes]:
        while line := self._next():
            yield line

    def _next(self) -> bytes:
        start = self.position
        line = self._file.readline(MAX_LINE)
        self.position, self.count = self.position + len(line), self.count + 1
        if len(line) < MAX_LINE or line.endswith(b"\n"):
            return line.removeprefix(codecs.BOM_UTF8) if start == 0 else line
        while (more := self._file.readline(1 << 20)) and not more.endswith(b"\n"):
            self.position += len(more)
        self.position += len(more)
        return TooLong(b"\n")


@contextmanager
def opened(path: Path, encoding: str | None) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file: its bytes in UTF-8, and whether it can be entered anywhere.

    Raises:
        DataError: it is of another kind, damaged, or not of this encoding.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(8)
            raw.seek(0)
            for mark, kind in _ELSEWHERE.items():
                if head.startswith(mark):
                    raise DataError(f"{path} is {kind}, not text; save it as CSV or JSON lines", code="not-text")
            opener = next((opener for mark, opener in _OPENERS.items() if head.startswith(mark)), None)
            file: IO[bytes] = opener(raw) if opener else raw
            found = encoding or _encoding_of(file)
            if found is None:
                yield cast(BinaryIO, file), opener is None
            else:
                yield cast(BinaryIO, _Recoded(file, found)), False
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DataError(f"{path} cannot be unpacked: {error}", code="not-readable") from error
    except UnicodeDecodeError as error:
        says = f"{path} is not {error.encoding}: {error.reason} at byte {error.start}; set data.encoding"
        raise DataError(says, code="not-readable") from error


def _encoding_of(file: IO[bytes]) -> str | None:
    """The encoding that the first bytes show; None for UTF-8."""
    head = file.read(4)
    file.seek(0)
    if head in _BOMS_OF_32:
        return "utf-32"
    if (found := _BOMS.get(head[:2])) is not None:
        file.read(2)
        return found
    if len(head) == 4 and head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    if len(head) == 4 and head[0] == head[2] == 0 and head[1] and head[3]:
        return "utf-16-be"
    return None


class _Recoded:
    """Reads text of another encoding as UTF-8."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._text = codecs.getreader(encoding)(file)

    def readline(self, size: int = -1) -> bytes:
        """Up to and with the next line feed; other line ends of Unicode are text."""
        parts: list[str] = []
        while piece := self._text.readline():
            parts.append(piece)
            if piece.endswith("\n"):
                break
        return "".join(parts).encode("utf-8", "surrogatepass")

    def read(self) -> bytes:
        """All of it."""
        return self._text.read().encode("utf-8", "surrogatepass")
