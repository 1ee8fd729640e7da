"""A folder of images with questions: one `metadata.jsonl` or `metadata.csv`, or a JSON file for each image.

`metadata.*` names images in the column `file_name` (like the hub's image folders) or `images`. Without it, each
`NAME.json` is one row, whose image is the file of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medix_r1.data.row import RawRow
from medix_r1.data.sources.base import Columns, Revision, Unit, check_columns, file_revision
from medix_r1.data.sources.lines import CsvSource, JsonlSource, _parse
from medix_r1.errors import ConfigError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".dcm", ".bmp", ".gif")


def folder(*, path: str | None, columns: Columns, image_root: str | None = None, name: str | None = None) -> Any:
    """Open a folder by its metadata file, or by its JSON files if it has none.

    Raises:
        ConfigError: the folder does not exist or has neither.
    """
    root = Path(path or "").expanduser()
    if not path or not root.is_dir():
        raise ConfigError.of("data.path", "not-a-folder", f"{path or 'no value'} is not a folder")
    settings: dict[str, Any] = {"columns": columns, "image_root": image_root or str(root), "name": name or root.name}
    if (root / "metadata.jsonl").is_file():
        return JsonlSource(path=str(root / "metadata.jsonl"), **settings)
    if (root / "metadata.csv").is_file():
        return CsvSource(path=str(root / "metadata.csv"), **settings)
    return SidecarSource(root, columns, settings["name"])


class SidecarSource:
    """A source in which every `NAME.json` below a folder is a row."""

    def __init__(self, root: Path, columns: Columns, name: str) -> None:
        self._root, self._columns, self.name = root, columns, name
        self._files = sorted(root.rglob("*.json"))
        if not self._files:
            raise ConfigError.of(
                "data.path",
                "no-rows-there",
                f"{root} holds neither metadata.jsonl, metadata.csv nor NAME.json files",
            )

    def revision(self) -> Revision:
        return file_revision("folder", self._root, self._files)

    def units(self, max_rows: int) -> list[Unit]:
        """Slices of `max_rows` files of the sorted list."""
        first = _parse(self._files[0].read_bytes(), self._files[0].name, {}, "")
        if first.problem is None:
            import json

            check_columns(json.loads(self._files[0].read_bytes()), self._columns, self._files[0].name)
        starts = range(0, len(self._files), max_rows)
        return [Unit(n, ".", start, min(start + max_rows, len(self._files))) for n, start in enumerate(starts)]

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        for file in self._files[unit.start : unit.stop]:
            where = str(file.relative_to(self._root))
            row = _parse(file.read_bytes(), where, self._columns, str(self._root))
            if row.problem is None and row.fields["images"] is None:
                beside = next(
                    (p for s in SUFFIXES for p in (file.with_suffix(s), file.with_suffix(s.upper())) if p.is_file()),
                    None,
                )
                images = str(beside.relative_to(self._root)) if beside else None
                row = RawRow(where, {**row.fields, "images": images}, row.root)
            yield row
