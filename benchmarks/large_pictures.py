"""A real run on the CPU with large pictures, as it is and as verl 0.9.1 would do it: memory, seconds, caches, rewards.

    python benchmarks/large_pictures.py [--prompts 16] [--rollouts 5] [--megapixels 1] [--steps 2] [--ranks 2]

Trains the nano policy on made pictures with `medix-r1 train`: as many vLLM replicas as ranks, one storage unit, the
embedding reward. The second run loads verls_way.py, which takes our changes back. Memory is the proportional set size
(PSS) of every process of the run, looked at each second; a kind's peak is that of the sum of its processes. Cached
tokens and runs of the vision tower are vLLM's own counts. Kept in results/large_pictures.json.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow
import pyarrow.parquet as parquet
import results_file
from omegaconf import OmegaConf
from PIL import Image

from medix_r1.data.row import VERL_SCHEMA
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.training.preflight.machine import host_memory

HERE = Path(__file__).parent
WAYS = {"medix": ["vllm_counters.py"], "verl": ["vllm_counters.py", "verls_way.py"]}
PHASES = ("gen", "old_log_prob", "adv", "update_actor", "update_weights", "step")
KINDS = {  # what stands in a process's title or command → its kind
    "SimpleStorageUnit": "storage units",
    "VLLM::": "vLLM's engines",
    "vLLMHttpServer": "vLLM's front ends",
    "AgentLoopWorker": "agent loops",
    "RewardLoopWorker": "reward workers",
    "WorkerDict": "FSDP ranks",
    "TaskRunner": "driver",
    "TransferQueueController": "TransferQueue's controller",
    "raylet": "Ray's store and services",
    "gcs_server": "Ray's store and services",
}


def side_of(megapixels: float) -> int:
    """Pixels of a side, at least so many megapixels and a whole number of tokens."""
    return 32 * math.ceil(math.sqrt(megapixels * 1e6) / 32)


def rows(count: int, megapixels: float) -> list[dict[str, Any]]:
    """Questions on pictures like scans: a gradient with noise, JPEG files of quality 95."""
    side = side_of(megapixels)

    def picture(number: int) -> bytes:
        noise = np.random.default_rng(number).normal(0, 8, (side, side, 1))
        pixels = np.clip(np.repeat(np.linspace(0, 200, side)[None, :, None] + noise, 3, 2), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=95)
        return file.getvalue()

    return [
        {
            "data_source": "made",
            "prompt": [{"role": "user", "content": "<image>Which organ is shown?"}],
            "images": [{"bytes": picture(n), "path": None, "min_pixels": 1024, "max_pixels": side * side}],
            "ability": "vqa",
            "reward_model": {"style": "medix", "ground_truth": "<X_RAY>\nlung"},
            "extra_info": {"index": n, "row_id": f"made-{n}", "question": "Which organ is shown?", "answers": ["lung"]},
        }
        for n in range(count)
    ]


def settings(given: argparse.Namespace, data: Path, run: Path, way: str) -> list[str]:
    """The command line of a run."""
    plugins = ",".join(str(HERE / name) for name in WAYS[way])
    longest = int(given.megapixels * 1024) + 512
    return [
        *("experiment=nano_cpu", "reward=embedding_only", "judge=none", f"demo_dir={given.demo}", f"run.dir={run}"),
        f"hardware={'cpu' if given.ranks == 1 else 'cpu2'}",
        *(f"data.train_files={data}", f"data.val_files={data}", f"data.train_batch_size={given.prompts}"),
        *(f"data.max_prompt_length={longest}", "data.max_response_length=32"),
        *("+data.mm_processor_kwargs.min_pixels=1024", f"+data.mm_processor_kwargs.max_pixels={given.side**2}"),
        *(f"actor_rollout_ref.rollout.n={given.rollouts}", "actor_rollout_ref.actor.freeze_vision_tower=true"),
        *(f"actor_rollout_ref.rollout.max_model_len={max(2048, longest + 32)}",),
        *(f"actor_rollout_ref.rollout.max_num_batched_tokens={max(4096, longest + 32)}",),
        "+actor_rollout_ref.rollout.engine_kwargs.vllm.block_size=32",
        *("trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1"),
        *(f"trainer.total_training_steps={given.steps}", "data.shuffle=false", f"run.plugins=[{plugins}]"),
        *given.overrides,
    ]


def kind_of(process: psutil.Process) -> str:
    """The kind of a process of a run."""
    words = " ".join(process.cmdline())
    return next((kind for part, kind in KINDS.items() if part in words), "others")


def watch(run: Path, done: threading.Event, peaks: dict[str, int], first: dict[str, int]) -> None:
    """Keep the highest PSS of each kind and of all, and of each kind what it was before the first rollout."""
    mark, begun = f"MEDIX_R1_RUN={run}\0".encode(), False
    while not done.wait(1.0):
        sums: dict[str, int] = defaultdict(int)
        for process in psutil.process_iter():
            try:
                if mark in Path(f"/proc/{process.pid}/environ").read_bytes():
                    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
                    sums[kind_of(process)] += 1024 * int(re.findall(r"Pss: +(\d+)", text)[0])
            except (OSError, psutil.Error, IndexError):
                continue
        sums["all"] = sum(sums.values())
        begun = begun or (run / "counters.jsonl").exists()
        for kind, size in sums.items():
            peaks[kind] = max(peaks.get(kind, 0), size)
            if not begun:
                first[kind] = size


def measured(given: argparse.Namespace, folder: Path, way: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's figures, and its rewards and replies by sample."""
    run, done = folder / way, threading.Event()
    peaks: dict[str, int] = {}
    first: dict[str, int] = {}
    run.mkdir()
    watching = threading.Thread(target=watch, args=(run, done, peaks, first))
    watching.start()
    environment = {**os.environ, "MEDIX_BENCH_COUNTERS": str(run / "counters.jsonl")}
    command = [sys.executable, "-m", "medix_r1.cli", "train", *settings(given, folder / "rows.parquet", run, way)]
    subprocess.run(command, check=True, env=environment)
    done.set()
    watching.join()
    counted: Counter[str] = Counter()
    for line in read_lines(run / "counters.jsonl"):
        counted.update(line)
    metrics = RunFolder(run).metrics_by_step()
    last = metrics[max(metrics)]
    prompts = given.prompts * len([step for step in metrics if step > 0])
    samples = [line for path in sorted((run / "samples" / "train").glob("*.jsonl")) for line in read_lines(path)]
    estimate = host_memory.estimate(OmegaConf.load(run / "config.yaml"), float(given.side**2))  # type: ignore[arg-type]
    figures = {
        "estimate": {name: round(size / 1e6) for name, size in estimate.items()},
        "peak": {kind: round(size / 1e6) for kind, size in sorted(peaks.items())},
        "before": {kind: round(size / 1e6) for kind, size in sorted(first.items())},
        "seconds": {name: round(last[f"timing_s/{name}"], 1) for name in PHASES if f"timing_s/{name}" in last},
        "prompt_tokens": round(counted["prompt"] / (prompts * given.rollouts)),
        "cached_share": round(counted["cached"] / counted["prompt"], 3),
        "vision_runs_a_prompt": round(counted["pictures"] / prompts, 2),
    }
    return figures, {line["key"]: (line["reply"], line["overall"], line.get("advantage")) for line in samples}


def main() -> None:
    """Run both ways and keep what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--rollouts", type=int, default=5)
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=2, choices=[1, 2])
    parser.add_argument("--demo", default="outputs/demo", help="folder of `medix-r1 demo build`")
    parser.add_argument("--folder", type=Path, help="where the runs are kept")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    given.side = side_of(given.megapixels)
    values = results_file.provenance() | {
        name: getattr(given, name) for name in ("prompts", "rollouts", "megapixels", "steps", "ranks")
    }
    folder = given.folder or Path(tempfile.mkdtemp(prefix="large-pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    made = rows(given.prompts * given.steps, given.megapixels)
    parquet.write_table(pyarrow.Table.from_pylist(made, schema=VERL_SCHEMA), folder / "rows.parquet")
    samples = {}
    for way in given.ways:
        values[way], samples[way] = measured(given, folder, way)
        print(json.dumps({way: values[way]}), flush=True)
    if len(samples) == len(WAYS):
        ours, theirs = samples["medix"], samples["verl"]
        values["samples"], values["equal"] = len(theirs), sum(ours.get(key) == line for key, line in theirs.items())
        results_file.keep("large_pictures", f"ranks_{given.ranks}", values)
    print(json.dumps(values, indent=1))


if __name__ == "__main__":
    main()
