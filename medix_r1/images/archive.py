"""Reads pictures from a zip file member by member. Nothing is unpacked to disk, so no member can escape a folder."""

from __future__ import annotations

import lzma
import posixpath
import stat
import threading
import unicodedata
import zipfile
import zlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from medix_r1.errors import DataError

MAX_BYTES = 64 * 2**20  # of an unpacked picture, where a caller says nothing else
_UTF8_NAME = 0x800  # flag of a member whose name says that it is UTF-8
_DAMAGES = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError)


class ImageArchive:
    """Reads pictures by the name in the rows: whole, without the top folder or those that all share, or below its name.

    Raises:
        DataError: the file is not a zip archive.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} cannot be read as a zip archive: {error}", code="not-a-zip") from error
        whole: dict[str, zipfile.ZipInfo | None] = {}
        shorter: dict[str, zipfile.ZipInfo | None] = {}
        for info in self._zip.infolist():
            for name in _names_of(info):
                _enter(whole, name, info)
                _enter(shorter, name.partition("/")[2], info)
        shared = posixpath.commonpath([posixpath.dirname(name) for name in whole]) if whole else ""
        below = {name[len(shared) + 1 :]: info for name, info in whole.items() if shared}
        self._members = below | shorter | whole

    def read(self, name: str, most: int | None = None) -> bytes:
        """Bytes of one picture, at most `most` of them.

        Raises:
            DataError: the name is not a plain relative path, there is no such member or several, it is a link, or it is
                too large, encrypted or damaged.
        """
        most = MAX_BYTES if most is None else most
        plain = _plain(name)
        if plain is None:
            raise DataError(f"{self._path}: {name!r} leads out of the archive", code="outside-its-folder")
        key = next((key for key in (plain, plain.removeprefix(f"{self._path.stem}/")) if key in self._members), None)
        if key is None:
            raise DataError(f"{self._path} has no member {name!r}", code="not-a-member")
        info = self._members[key]
        if info is None:
            raise DataError(f"{self._path} has several members {name!r}; name its folder too", code="several-members")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{self._path}: {name!r} is a link", code="not-a-member")
        if info.file_size > most:
            raise DataError(
                f"{self._path}: {name!r} unpacks to {info.file_size} bytes; at most {most} are read", code="too-large"
            )
        try:
            with self._lock, self._zip.open(info) as member:
                data = member.read(most + 1)
        except _DAMAGES as error:
            raise DataError(f"{self._path}: {name!r} cannot be unpacked: {error}", code="damaged") from error
        if len(data) != info.file_size:
            raise DataError(
                f"{self._path}: {name!r} has {len(data)} bytes, and its entry says {info.file_size}", code="damaged"
            )
        return data


def is_archive(path: Path) -> bool:
    """Whether a path is a zip file."""
    return path.is_file() and zipfile.is_zipfile(path)


def archive_at(path: Path) -> ImageArchive:
    """The archive at a path, opened once in a process as long as the file stays the same.

    Raises:
        DataError: it is not a zip archive.
    """
    status = path.stat()
    return _archive(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _archive(path: Path, size: int, changed: int) -> ImageArchive:
    return ImageArchive(path)


def _names_of(info: zipfile.ZipInfo) -> list[str]:
    """The names by which rows may mean a member; none for folders, names that lead out, and what macOS adds.

    A name without the flag of UTF-8 may be UTF-8 all the same: macOS and old tools write such.
    """
    names = [info.filename]
    if not info.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            names.append(info.filename.encode("cp437").decode("utf-8"))
    plain = [_plain(name) for name in names if not name.endswith(("/", "\\"))]
    return list(dict.fromkeys(name for name in plain if name and not name.startswith("__MACOSX/")))


def _plain(name: str) -> str | None:
    """A name with slashes, without `./`, in composed letters; None if it leads out of the archive."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    if posixpath.isabs(name) or ".." in name.split("/") or name[1:3] == ":/":
        return None
    return posixpath.normpath(name) if name else None


def _enter(names: dict[str, zipfile.ZipInfo | None], name: str, info: zipfile.ZipInfo) -> None:
    """Note a member under a name; None for a name that two different members have."""
    if not name:
        return
    other = names.get(name, info)
    same = other is not None and (other.CRC, other.file_size) == (info.CRC, info.file_size)
    names[name] = other if same else None
