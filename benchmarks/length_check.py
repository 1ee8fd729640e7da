"""Rows a second of our length check beside verl's filter: `.venv/bin/python benchmarks/length_check.py`.

verl's is `filter_overlong_prompts`. Both get the same parquet rows (pictures of 0.2 to 2 megapixels, Qwen3-VL's resize
rule with the recipe's limits) and must keep the same rows. verl uses as many processes as there are cores, ours one.
Then the peak memory of our check at 1 k and 50 k rows. Kept in results/length_check.json, which `make docs` quotes.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import results_file
import typer
from PIL import Image

from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.prepared import shard_batches
from medix_r1.data.row import VERL_SCHEMA
from medix_r1.images.decode import header_size

NANO = Path("outputs/demo/models/policy")
MIN_PIXELS, MAX_PIXELS = 262_144, 4_194_304  # of the public recipe
LIMIT = 1000  # tokens; keeps a part of the rows only


def make_backbone(folder: Path) -> None:
    """The demo's tokenizer and template with the recipe's image limits in place of the demo's tiny ones."""
    shutil.copytree(NANO, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    path = folder / "processor_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["image_processor"]["size"] = {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}
    path.write_text(json.dumps(settings), encoding="utf-8")


def write_rows(path: Path, rows: int, megapixels: tuple[float, float], pictures: int) -> None:
    """Write rows for verl; `pictures` different JPEGs take turns."""
    rng = np.random.default_rng(0)
    contents = [_jpeg(rng, rng.uniform(*megapixels)) for _ in range(pictures)]
    with pq.ParquetWriter(path, VERL_SCHEMA, compression="none") as writer:
        for start in range(0, rows, 50):
            part = [_row(i, contents[i % pictures]) for i in range(start, min(start + 50, rows))]
            writer.write_table(pa.Table.from_pylist(part, schema=VERL_SCHEMA))


def _jpeg(rng: np.random.Generator, megapixels: float) -> bytes:
    ratio = rng.uniform(0.5, 2.0)
    width, height = (int((megapixels * 1e6 * factor) ** 0.5) for factor in (ratio, 1 / ratio))
    small = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _row(number: int, content: bytes) -> dict[str, Any]:
    limits = {"path": None, "min_pixels": None, "max_pixels": None}
    question = f"Which modality is shown in picture {number}?"
    return {
        "data_source": "bench",
        "prompt": [{"role": "user", "content": "<image>" + question}],
        "images": [{"bytes": content, **limits}],
        "ability": "vqa",
        "reward_model": {"style": "medix", "ground_truth": "<X_RAY>\nx-ray"},
        "extra_info": {"index": number, "row_id": str(number), "question": question, "answers": ["x-ray"]},
    }


def ours(path: Path, backbone: Path) -> tuple[int, float]:
    """Rows that fit, and the seconds it took to read and count all."""
    counter = PromptCounter(backbone)
    started, kept = time.monotonic(), 0
    for batch in shard_batches(path):
        for row in batch.select(["prompt", "images"]).to_pylist():
            sizes = [header_size(image["bytes"]) for image in row["images"]]
            kept += counter.length(row["prompt"][0]["content"], sizes).total <= LIMIT
    return kept, time.monotonic() - started


def verls(path: Path, backbone: Path, cache: Path, workers: int) -> tuple[int, float]:
    """The same with verl's filter; loading the set is not timed."""
    os.environ["HF_DATASETS_CACHE"] = str(cache)
    from omegaconf import OmegaConf
    from transformers import AutoProcessor
    from verl.utils.dataset.rl_dataset import RLHFDataset

    processor = AutoProcessor.from_pretrained(backbone)
    settings = {
        "filter_overlong_prompts": False,
        "filter_overlong_prompts_workers": workers,
        "max_prompt_length": LIMIT,
        "image_key": "images",
        "cache_dir": str(cache),
    }
    dataset = RLHFDataset([str(path)], processor.tokenizer, OmegaConf.create(settings), processor)
    dataset.filter_overlong_prompts = True
    started = time.monotonic()
    kept = len(dataset.maybe_filter_out_long_prompts(dataset.dataframe))
    return kept, time.monotonic() - started


def _memory(path: Path, backbone: Path) -> tuple[float, float]:
    """(Peak MiB, seconds) of our check in a process of its own."""
    command = [sys.executable, __file__, "--only", str(path), "--backbone", str(backbone)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, seconds = result.stdout.split()[-2:]
    return float(peak), float(seconds)


def _peak_mebibytes() -> float:
    """Of this process alone; getrusage would also remember the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main(
    rows: Annotated[int, typer.Option(help="Rows of the comparison.")] = 300,
    only: Annotated[Path | None, typer.Option(hidden=True)] = None,
    backbone: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print and keep both speeds, their ratio, and the memory at two sizes."""
    if only and backbone:
        _, seconds = ours(only, backbone)
        print(_peak_mebibytes(), seconds)
        return
    cores = len(os.sched_getaffinity(0))
    about, memory = results_file.provenance(), []
    print(about["machine"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_backbone(folder / "backbone")
        write_rows(folder / "rows.parquet", rows, (0.2, 2.0), rows)
        our_kept, our_seconds = ours(folder / "rows.parquet", folder / "backbone")
        verl_kept, verl_seconds = verls(folder / "rows.parquet", folder / "backbone", folder / "cache", cores)
        if our_kept != verl_kept:
            raise SystemExit(f"not the same rows: ours keeps {our_kept}, verl {verl_kept}")
        print(f"verl  {rows / verl_seconds:8.1f} rows/s  ({cores} processes)")
        print(f"ours  {rows / our_seconds:8.1f} rows/s  (1 process)")
        print(f"ratio {verl_seconds / our_seconds:8.1f}; both keep {our_kept} of {rows} rows")
        speed = {"rows": rows, "verl_rows_per_s": round(rows / verl_seconds, 1), "verl_processes": cores}
        speed |= {"ours_rows_per_s": round(rows / our_seconds), "kept": our_kept}
        results_file.keep("length_check", "speed", {**about, **speed})
        for count in (1_000, 50_000):
            write_rows(folder / "many.parquet", count, (0.02, 0.2), 50)
            peak, seconds = _memory(folder / "many.parquet", folder / "backbone")
            print(f"{count:6d} rows: peak {peak:6.0f} MiB, {count / seconds:7.0f} rows/s", flush=True)
            memory.append({"rows": count, "mib": round(peak)})
        results_file.keep("length_check", "memory", {**about, "rows": memory})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
