"""Pictures by their path: in a folder, or in a zip archive, which no path may leave."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from itertools import islice
from pathlib import Path

from medix_r1.data.meaning.text import shown
from medix_r1.data.row import Reason, RowRejected
from medix_r1.errors import DataError
from medix_r1.images.archive import archive_at
from medix_r1.images.rules import ImageRules

_REASONS = {
    "not-a-zip": Reason.MISSING_IMAGE,
    "not-a-member": Reason.MISSING_IMAGE,
    "several-members": Reason.MISSING_IMAGE,
    "outside-its-folder": Reason.PATH_OUTSIDE,
    "too-large": Reason.IMAGE_BOMB,
}
_BETWEEN = re.compile(r"[;,|]")
_LOOKED_AT = 10_000  # names in a folder among which a zip archive is looked for


def picture_in_file(name: str, root: str | None, rules: ImageRules, *, hide_names: bool) -> bytes:
    """The bytes of a picture, by its path.

    Args:
        name: path, relative to `root`.
        root: folder or zip archive; None when paths are not allowed.
        rules: how large a file may be.
        hide_names: errors do not name the file.

    Raises:
        RowRejected: there is no such file, it leads out of `root`, or it is too large.
    """
    called = "a picture" if hide_names else shown(name)
    if root is None:
        raise RowRejected(Reason.MISSING_IMAGE, f"{called} is a path, and this source has no image folder")
    folder = Path(root).resolve()
    name = name.removeprefix("file://")
    if folder.is_file():
        return _from_archive(name, folder, rules, hide_names=hide_names)
    try:
        path = (folder / name).resolve()
        if "\\" in name and not path.is_file():  # a path of Windows
            path = (folder / name.replace("\\", "/")).resolve()
        content = _read_inside(path, folder, rules)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        says = getattr(error, "strerror", None) or str(error)
        hint = "" if hide_names else _hint(name, folder)
        raise RowRejected(Reason.MISSING_IMAGE, f"{called}: {says}{hint}") from error
    if content is None:
        within = "its folder" if hide_names else folder
        raise RowRejected(Reason.PATH_OUTSIDE, f"{called} leaves {within}; set data.image_root")
    return content


def _read_inside(path: Path, folder: Path, rules: ImageRules) -> bytes | None:
    if not path.is_relative_to(folder):
        return None
    with path.open("rb") as file:
        return file.read(int(rules.max_mebibytes * 2**20) + 1)


def _from_archive(name: str, path: Path, rules: ImageRules, *, hide_names: bool) -> bytes:
    try:
        return archive_at(path).read(name, int(rules.max_mebibytes * 2**20))
    except DataError as error:
        says = f"a picture: {error.code}" if hide_names else str(error)
        raise RowRejected(_REASONS.get(error.code, Reason.CORRUPT_IMAGE), says) from error


def _hint(name: str, folder: Path) -> str:
    """What may help where a folder lacks a picture: it holds a zip archive, or the name is several."""
    parts = [part.strip() for part in _BETWEEN.split(name)]
    if len(parts) > 1 and any((folder / part).is_file() for part in parts):
        return f"; several pictures in a cell are a list: {json.dumps(parts)}"
    found = _archive_in(folder)
    return f"; if it is in {found.name}, set data.image_root={found}" if found else ""


@lru_cache(maxsize=16)
def _archive_in(folder: Path) -> Path | None:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _LOOKED_AT)]
    except OSError:
        return None
    return next((folder / name for name in sorted(names) if name.lower().endswith(".zip")), None)
