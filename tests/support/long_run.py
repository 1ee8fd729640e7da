"""The folder of a long run, 200 steps of 2,560 samples with pictures of their own, for its report."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

from medix_r1.reports import browser
from tests.unit.reports.run_folder import make_run, sample

STEPS, SAMPLES, PICTURES = 200, 2560, 600


def make_long_run(root: Path) -> Path:
    """A run of 200 steps; of the steps that a report does not open there is one sample."""
    run = make_run(root)
    folder = run / "samples" / "train"
    read = set(browser._spread(list(range(1, STEPS + 1)), browser.STEPS))
    for step in range(1, STEPS + 1):
        rows = [long_sample(f"{step}-{i}") for i in range(SAMPLES if step in read else 1)]
        (folder / f"{step:06d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for step, reward in ((0, 0.0), (STEPS, 1.0)):
        rows = [long_sample(f"v{i}", reward * (i % 7) / 7) for i in range(400)]
        (run / "samples" / "validation" / f"{step:06d}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (run / "samples" / "validation" / "000002.jsonl").unlink()
    write_pictures(run / "train.parquet")
    return run


def long_sample(key: str, reward: float | None = None) -> dict[str, object]:
    number = zlib.crc32(key.encode())
    value = (number % 100) / 100 if reward is None else reward
    reply = f"<X_RAY><think>{key} {'seen ' * 500}</think><answer>{key}</answer>"
    row_id = f"row-{number % PICTURES}" if reward is None else f"row-{key}"
    return sample(key, value, value, reply=reply, answer=key, row_id=row_id)


def write_pictures(path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for i in range(PICTURES):
        picture = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (400, 500, 3), dtype=np.uint8)).save(picture, "JPEG", quality=50)
        row = {"images": [{"bytes": picture.getvalue(), "path": None}], "extra_info": {"row_id": f"row-{i}"}}
        rows.append(row)
    parquet.write_table(arrow.Table.from_pylist(rows), path)
