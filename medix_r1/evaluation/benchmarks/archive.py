"""Reads images from a zip file member by member. Nothing is unpacked to disk, so no member can escape a folder."""

from __future__ import annotations

import posixpath
import threading
import zipfile
from pathlib import Path

from medix_r1.errors import DataError

MAX_BYTES = 64 * 2**20  # of an uncompressed image
MAX_RATIO = 200  # uncompressed to compressed; a zip bomb exceeds it, images hardly compress


class ImageArchive:
    """Reads images by the name in the rows, with or without the archive's top folder.

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
        members = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}
        self._members = {name.partition("/")[2]: info for name, info in members.items()} | members

    def read(self, name: str) -> bytes:
        """Bytes of one image.

        Raises:
            DataError: the name is not a plain relative path, there is no such member, or it is too large or damaged.
        """
        if posixpath.isabs(name) or ".." in name.split("/") or "\\" in name:
            raise DataError(f"{self._path}: {name!r} is no name of a member", code="not-a-member")
        info = self._members.get(name)
        if info is None:
            raise DataError(f"{self._path} has no member {name!r}", code="not-a-member")
        if info.file_size > MAX_BYTES or info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise DataError(
                f"{self._path}: {name!r} unpacks to {info.file_size} bytes, which is no image of ours", code="too-large"
            )
        try:
            with self._lock, self._zip.open(info) as member:
                data = member.read(MAX_BYTES + 1)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{self._path}: {name!r} cannot be unpacked: {error}", code="damaged") from error
        if len(data) > MAX_BYTES:
            raise DataError(f"{self._path}: {name!r} is larger than its entry says", code="too-large")
        return data
