"""Memory of `medix-r1 data prepare` against its input: `.venv/bin/python benchmarks/data_memory.py`.

Writes parquet files of pictures that do not compress (3.3 MB each, most of it a private PNG chunk, so that the disk and
not the decoder sets the pace) into a temporary folder, prepares the first 1 and 5 GB of them with two processes, and
samples the private and shared memory (PSS) of all processes. Needs about three times the largest size on disk. Kept in
results/data_memory.json, which `make docs` quotes.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import results_file
import typer
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIDE = 300  # pixels of noise
PADDING = 3_000_000  # bytes of a chunk that decoders skip
GROUP = 50  # rows of a row group, about 165 MB
BACKBONE = "outputs/demo/models/policy"


def write_input(path: Path, first: int, rows: int) -> int:
    """Write one parquet file as the hub stores such sets; return its bytes."""
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
            ("source", pa.string()),
            ("problem", pa.string()),
            ("solution", pa.string()),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for start in range(first, first + rows, GROUP):
            table = [_row(number) for number in range(start, min(start + GROUP, first + rows))]
            writer.write_table(pa.Table.from_pylist(table, schema=schema))
    return path.stat().st_size


def _row(number: int) -> dict[str, object]:
    noise = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    extra = PngInfo()
    extra.add(b"raNd", np.random.default_rng(number).bytes(PADDING))
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0, pnginfo=extra)
    return {
        "id": str(number),
        "image": [{"bytes": buffer.getvalue(), "path": None}],
        "source": "noise",
        "problem": f"What is shown in picture {number}?",
        "solution": "<OTHER>\nnoise",
    }


def measure(source: Path, out: Path) -> tuple[float, float]:
    """Prepare a folder; return (peak MiB of all processes together, seconds)."""
    command = [sys.executable, "-m", "medix_r1.cli", "data", "prepare", "data=medix_rl", f"data.path={source}"]
    command += [f"out={out}", f"backbone={BACKBONE}", "image.min_pixels=null", "image.max_pixels=null", "workers=2"]
    started, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, _pss(process.pid))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"data prepare ended with {process.returncode}")
    return peak / 2**20, time.monotonic() - started


def _pss(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:
        pass  # a process ended between being listed and being looked at
    return total


def main(gigabytes: Annotated[list[float] | None, typer.Option(help="Sizes to prepare; repeatable.")] = None) -> None:
    """Print and keep peak memory against input size, and the slope between the smallest and the largest."""
    about = results_file.provenance()
    sizes = sorted(gigabytes or [1.0, 5.0])
    print(f"{about['machine']}; {SIDE}x{SIDE} PNG of 3.3 MB, row groups of {GROUP} rows, 2 workers")
    points: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        source, rows, total = Path(name) / "source", 0, 0
        source.mkdir()
        for size in sizes:
            while total < size * 1e9:
                total += write_input(source / f"train-{rows:06d}.parquet", rows, 2 * GROUP)
                rows += 2 * GROUP
            out = Path(name) / "out"
            peak, seconds = measure(source, out)
            print(f"{total / 1e9:5.2f} GB in {rows:6d} rows: peak {peak:7.0f} MiB, {seconds:6.1f} s", flush=True)
            points.append((total / 1e9, peak))
            for file in sorted(out.glob("*"), reverse=True):
                file.unlink()
    slope = np.polyfit(*zip(*points, strict=True), 1)[0] if len(points) > 1 else float("nan")
    print(f"slope: {slope:.1f} MiB per GB of input")
    rows = [{"gb": round(size, 1), "mib": round(peak)} for size, peak in points]
    results_file.keep("data_memory", "prepare", {**about, "processes": 2, "rows": rows, "mib_per_gb": round(slope)})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
