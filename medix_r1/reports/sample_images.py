"""The images of samples, looked up in the run's data files by row id when they are shown."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.compute as compute
import pyarrow.dataset as datasets
from PIL import Image, UnidentifiedImageError

from medix_r1.host.files import atomic_file
from medix_r1.host.yaml_text import read_yaml
from medix_r1.runs.folder import RunFolder

_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "GIF": ".gif", "BMP": ".bmp"}


def of_rows(run: Path, row_ids: Iterable[str]) -> dict[str, list[Path]]:
    """Write the images of some rows below `RUN/samples/images/` and return their paths by row id.

    Rows that the data files lack are left out, because a run may be inspected on a machine without its data.
    """
    wanted = sorted(set(row_ids))
    folder = RunFolder(run).samples / "images"
    found: dict[str, list[Path]] = {}
    for row in _rows(RunFolder(run), wanted):
        images = [_write(image, folder) for image in row["images"] or ()]
        found[row["row_id"]] = [path for path in images if path is not None]
    return found


def _rows(run: RunFolder, wanted: list[str]) -> Iterable[dict[str, Any]]:
    data = read_yaml(run.config)["data"]
    names = [name for key in ("train_files", "val_files") for name in _as_list(data[key])]
    files = [str(path) for name in names if (path := _found(name, run.root)) is not None]
    if not files or not wanted:
        return
    row_id = compute.field("extra_info", "row_id")
    table = datasets.dataset(files, format="parquet").to_table(
        columns={"row_id": row_id, "images": compute.field(data["image_key"])}, filter=row_id.isin(wanted)
    )
    yield from table.to_pylist()


def _found(name: str, run: Path) -> Path | None:
    """A data file; a relative name starts where the run was started, which is above its folder as a rule."""
    places = [Path.cwd(), *run.absolute().parents] if not Path(name).is_absolute() else [Path("/")]
    return next((place / name for place in places if (place / name).is_file()), None)


def _as_list(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [str(value)]


def _write(image: dict[str, Any], folder: Path) -> Path | None:
    """Write an image unchanged under its hash; return None when the bytes are not an image."""
    content = image.get("bytes") or (Path(image["path"]).read_bytes() if image.get("path") else b"")
    try:
        suffix = _SUFFIXES.get(Image.open(io.BytesIO(content)).format or "")
    except (UnidentifiedImageError, Image.DecompressionBombError):
        suffix = None
    if suffix is None:
        return None
    path = folder / f"{hashlib.sha256(content).hexdigest()[:20]}{suffix}"
    if not path.exists():
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
    return path
