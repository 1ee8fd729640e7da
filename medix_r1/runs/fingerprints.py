"""Cheap fingerprints of a checkpoint's files, which tell files of one save from those of another.

torch saves an uncompressed zip archive, whose directory at the end has the CRC-32 of every tensor. The fingerprint of
such a file is the SHA-256 of its directory, so that a shard of 100 GB costs as little as one of 1 MB.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

_LARGEST = 64_000_000  # bytes of a file that is hashed whole


def fingerprint(path: Path) -> str | None:
    """The fingerprint of a file; None of a large one that is no zip archive.

    Raises:
        OSError: it cannot be read.
    """
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [(entry.filename, entry.file_size, entry.CRC) for entry in archive.infolist()]
        except zipfile.BadZipFile:
            entries = []  # the file ends like a zip archive, but is none
        if entries:
            return hashlib.sha256(repr(entries).encode(errors="backslashreplace")).hexdigest()
    if path.stat().st_size > _LARGEST:
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()
