"""A report of a long run: 200 steps of 2,560 samples, with pictures of their own."""

from __future__ import annotations

import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from medix_r1.reports import browser
from medix_r1.reports.run_report import write_report
from tests.unit.reports.run_folder import make_run, sample

MOST_BYTES = 10_000_000
STEPS, SAMPLES, PICTURES = 200, 2560, 600


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("long"))
    folder = run / "samples" / "train"
    read = set(browser._spread(list(range(1, STEPS + 1)), browser.STEPS))  # only these files are opened
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


def test_it_can_be_mailed_and_says_what_it_leaves_out(run: Path) -> None:
    report = write_report(run)

    assert report.stat().st_size < MOST_BYTES
    text = report.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert len(data["samples"]) >= 500
    changes = [pair["after"]["overall"] - pair["before"]["overall"] for pair in data["pairs"]]
    assert len(changes) == browser.PAIRS
    assert min(changes) >= 5 / 7, "the hundred that changed most"
    assert len(data["left_out"]) == 3
    assert data["pictures"]
