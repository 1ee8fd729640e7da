"""Rows a second of `data prepare`, by kind of file, with one process: `.venv/bin/python benchmarks/prepare_rates.py`.

Pictures of 512 x 512 pixels; a row is read, its picture decoded, hashed, measured and written. Kept in
results/prepare_rates.json, which `make docs` quotes.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import results_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console

from medix_r1.data.prepare import prepare
from tests.support.golden_pictures import dicom, saved
from tests.unit.data.support import encoded, make_backbone, picture

ROWS, SIDE = 120, 512


def main() -> None:
    """Print and keep the rates."""
    about, rows = results_file.provenance(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backbone = make_backbone(folder / "backbone", high=2**20)
        for kind, make in (
            ("JSON lines, PNG files", jsonl),
            ("JSON lines, JPEG as base64", base64_lines),
            ("parquet, JPEG inside", parquet),
            ("JSON lines, DICOM files of 16 bits", dicom_lines),
        ):
            source, path = make(folder / kind.replace(" ", "_").replace(",", ""))
            settings = [f"data={source}", f"data.path={path}", f"out={folder}/out_{len(rows)}", f"backbone={backbone}"]
            limits = ["workers=1", "image.min_pixels=null", "image.max_pixels=null"]
            started = time.monotonic()
            summary = prepare([*settings, *limits], Console(quiet=True))
            rate = summary.rows_in / (time.monotonic() - started)
            print(f"{kind}: {rate:.0f} rows/s, {summary}", flush=True)
            rows.append({"kind": kind, "rows_per_s": round(rate)})
    results_file.keep("prepare_rates", "rates", {**about, "side": SIDE, "count": ROWS, "rows": rows})


def _rows() -> list[dict[str, object]]:
    return [{"question": f"What is number {i}?", "answer": "lung", "tag": "X_RAY"} for i in range(ROWS)]


def _lines(folder: Path, images: list[object]) -> tuple[str, Path]:
    lines = [json.dumps({**row, "images": image}) + "\n" for row, image in zip(_rows(), images, strict=True)]
    (folder / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    return "jsonl", folder / "rows.jsonl"


def jsonl(folder: Path) -> tuple[str, Path]:
    """PNG files beside the rows."""
    folder.mkdir()
    for i in range(ROWS):
        (folder / f"{i}.png").write_bytes(encoded(picture(i, SIDE, SIDE)))
    return _lines(folder, [f"{i}.png" for i in range(ROWS)])


def base64_lines(folder: Path) -> tuple[str, Path]:
    """JPEG as data URIs."""
    folder.mkdir()
    images = (base64.b64encode(encoded(picture(i, SIDE, SIDE), "JPEG")).decode() for i in range(ROWS))
    return _lines(folder, [f"data:image/jpeg;base64,{image}" for image in images])


def parquet(folder: Path) -> tuple[str, Path]:
    """JPEG as the hub stores it."""
    folder.mkdir()
    images = [{"bytes": encoded(picture(i, SIDE, SIDE), "JPEG"), "path": None} for i in range(ROWS)]
    rows = [{**row, "images": [image]} for row, image in zip(_rows(), images, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet", row_group_size=100)
    return "parquet", folder / "rows.parquet"


def dicom_lines(folder: Path) -> tuple[str, Path]:
    """Grey values of 12 bits in 16, with a window."""
    folder.mkdir()
    for i in range(ROWS):
        values = np.asarray(picture(i, SIDE, SIDE).convert("L")).astype(np.uint16) * 16
        (folder / f"{i}.dcm").write_bytes(saved(dicom(values, WindowCenter=2000, WindowWidth=3000)))
    return _lines(folder, [f"{i}.dcm" for i in range(ROWS)])


if __name__ == "__main__":
    main()
