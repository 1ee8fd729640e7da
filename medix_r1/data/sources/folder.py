"""A folder of images with questions: one `metadata.jsonl` or `metadata.csv`, or a JSON file for each image.

`metadata.*` names images in the column `file_name` (like the hub's image folders) or `images`. Without it, each
`NAME.json` is one row, whose image is the file of the same name beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from medix_r1.data.meaning.text import is_missing
from medix_r1.data.row import RawRow
from medix_r1.data.sources.base import Columns, Reading, Revision, Unit, file_revision
from medix_r1.data.sources.csv_file import CsvSource
from medix_r1.data.sources.lines import JsonlSource, rows_of_line
from medix_r1.data.sources.look import SAMPLED, look
from medix_r1.errors import ConfigError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".dcm", ".bmp", ".gif", ".jp2", ".pgm")
_METADATA = {"metadata.jsonl": JsonlSource, "metadata.csv": CsvSource}


def folder(
    *, path: str | None, columns: Columns, image_root: str | None = None, name: str | None = None, **reading: Any
) -> Any:
    """Open a folder by its metadata file, or by its JSON files if it has none.

    Raises:
        ConfigError: the folder does not exist or has neither.
    """
    root = Path(path or "").expanduser()
    if not path or not root.is_dir():
        raise ConfigError.of("data.path", "not-a-folder", f"{path or 'no value'} is not a folder")
    for file, source in _METADATA.items():
        if (root / file).is_file():
            where: dict[str, Any] = {"path": str(root / file), "image_root": image_root or str(root)}
            made = source(columns=columns, name=name or root.name, **where, **reading)
            made.is_folder = True  # the other files are told
            return made
    return SidecarSource(root, Reading(columns, **reading), name or root.name, image_root)


class SidecarSource:
    """A source in which every `NAME.json` below a folder is a row."""

    def __init__(self, root: Path, reading: Reading, name: str, image_root: str | None = None) -> None:
        """Paths in rows are relative to `image_root`, or to the folder; a picture beside its row is in the folder."""
        self._root, self._reading, self.name = root, reading, name
        self._image_root = str(Path(image_root).expanduser()) if image_root else str(root)
        self.notes: list[str] = []
        self._files = sorted(root.rglob("*.json"))
        if not self._files:
            raise ConfigError.of(
                "data.path",
                "no-rows-there",
                f"{root} holds neither {', '.join(_METADATA)} nor NAME.json files",
            )

    def revision(self) -> Revision:
        return file_revision("folder", self._root, self._files)

    def units(self, max_rows: int) -> list[Unit]:
        """Slices of `max_rows` files of the sorted list."""
        sample = [record for file in self._files[:SAMPLED] if isinstance(record := _json(file), dict)]
        if sample:
            self.notes = look(sample, self._reading, self._files[0].name, is_whole=False, beside=True)
        starts = range(0, len(self._files), max_rows)
        return [Unit(n, ".", start, min(start + max_rows, len(self._files))) for n, start in enumerate(starts)]

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        for file in self._files[unit.start : unit.stop]:
            where = str(file.relative_to(self._root))
            for row in rows_of_line(file.read_bytes(), where, self._reading, self._image_root):
                if row.problem is None and is_missing(row.fields["images"]):
                    fields = {**row.fields, "images": self._beside(file)}
                    yield replace(row, fields=fields, root=str(self._root))
                else:
                    yield row

    def _beside(self, file: Path) -> str | None:
        names = (p for s in (*SUFFIXES, "") for p in (file.with_suffix(s), file.with_suffix(s.upper())))
        found = next((name for name in names if name.is_file()), None)
        return str(found.relative_to(self._root)) if found else None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None  # rejected as a row
