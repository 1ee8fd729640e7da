"""What sources of text files share: their files, the folder of their images, and how a file is cut into units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medix_r1.data.sources.base import (
    REQUIRED,
    Columns,
    Reading,
    Revision,
    Unit,
    file_revision,
    local_files,
    unread_files,
)
from medix_r1.data.sources.packed import MOST_UNITS
from medix_r1.images.archive import is_archive


class TextFiles:
    """Files of text; image paths are relative to the file's folder, to `images_in` beside it, or to `image_root`."""

    kind = ""
    kinds: tuple[Sequence[str], ...] = ()

    def __init__(
        self,
        *,
        path: str | None,
        columns: Columns,
        image_root: str | None = None,
        images_in: str = "",
        name: str | None = None,
        required: Sequence[str] = REQUIRED,
        encoding: str | None = None,
        **reading: Any,
    ) -> None:
        self.reading = Reading(columns, required=tuple(required), **reading)
        self.encoding = encoding
        self.root, self.files = local_files(path, *self.kinds)
        self.is_folder = Path(str(path)).expanduser().is_dir()
        self._image_root = Path(image_root).expanduser() if image_root else None
        self._images_in = images_in
        self.name = name or (self.files[0].name.partition(".")[0] if len(self.files) == 1 else self.root.name)
        self.notes: list[str] = []

    def revision(self) -> Revision:
        return file_revision(self.kind, self.root, self.files)

    def names(self) -> list[str]:
        """Names of the files, relative to the root."""
        return [str(file.relative_to(self.root)) for file in self.files]

    def unread(self) -> list[str]:
        """A note on files of the folder that look like rows and are not read; none where one file was named."""
        return unread_files(self.root, self.files) if self.is_folder else []

    def root_of(self, name: str) -> str:
        """The folder, or the zip archive of its name, that the image paths of a file are relative to."""
        if self._image_root:
            return str(self._image_root)
        folder = (self.root / name).parent
        if not self._images_in:
            return str(folder)
        beside, packed = folder / self._images_in, folder / f"{self._images_in}.zip"
        return str(packed if not beside.is_dir() and is_archive(packed) else beside)


def packed_patterns(*suffixes: str) -> tuple[str, ...]:
    """Patterns of files with these suffixes, plain or compressed."""
    return tuple(f"*.{suffix}{packed}" for suffix in suffixes for packed in ("", ".gz", ".bz2", ".xz"))


class Cutter:
    """Cuts consecutive rows of a file into units; a file that cannot be entered anywhere gets few of them."""

    def __init__(self, max_rows: int, offset: int = 0) -> None:
        self._max_rows, self._bounds = max_rows, [(0, offset)]
        self._row, self._position = 0, offset

    def advance(self, position: int) -> None:
        """One more row, which ends at a position."""
        self._row, self._position = self._row + 1, position
        if self._row - self._bounds[-1][0] == self._max_rows:
            self._bounds.append((self._row, position))

    def units(self, first: int, name: str, *, is_plain: bool) -> list[Unit]:
        """The units, numbered from `first`."""
        bounds = self._bounds if is_plain else self._bounds[:: -(-len(self._bounds) // MOST_UNITS)]
        ends = [row for row, _ in bounds[1:]] + [self._row]
        cut = [(start, end, offset) for (start, offset), end in zip(bounds, ends, strict=True) if end > start]
        return [Unit(first + n, name, start, end, offset) for n, (start, end, offset) in enumerate(cut)]
