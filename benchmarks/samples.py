"""A long run's samples: bytes on disk, time and memory of `samples --sort` and `report`, and the driver's own work.

    python benchmarks/samples.py [--steps 200] [--rollouts 2560]

Lines are like those of the recipes, with thoughts of 2,000 characters. Ten steps differ, the others are copies of them.
Each command runs in a process of its own; `without` is the same folder after its indexes are gone, as in runs of older
code. Kept in results/samples.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import results_file
import yaml

from medix_r1.runs.samples_folder import SamplesFolder
from medix_r1.runs.samples_index import path_of
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin.reward_metrics import reward_metrics

DIFFERENT = 10
TEXT = "the lung shows a small opacity near left upper lobe with no effusion and normal heart size it may be old"
WORDS = TEXT.split()
PARTS = (
    "llm",
    "embed",
    "format",
    "modality",
    "exact",
    "hedging",
    "numbers",
    "sides",
    "negation",
    "repetition",
    "length",
)
WEIGHTS = {"llm": 0.5175, "embed": 0.3375, "format": 0.1, "modality": 0.045}
_LAUNCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
print(json.dumps({"wall": round(wall, 1), "cpu": round(cpu, 1), "peak": round(usage.ru_maxrss / 1024)}))
sys.exit(status != 0)
"""
MODALITIES = ("X_RAY", "CT", "MRI", "MICROSCOPY", "ULTRASOUND", "FUNDUS")


def rollouts(step: int, count: int) -> list[ScoredRollout]:
    """The rollouts of a step, five a prompt."""
    chance = random.Random(step)

    def text(characters: int) -> str:
        words = [chance.choice(WORDS) for _ in range(characters // 4)]
        return " ".join(words)[:characters]

    def one(number: int) -> ScoredRollout:
        think, modality, uid = text(2000), chance.choice(MODALITIES), f"step{step:06d}-prompt{number // 5:06d}"
        return ScoredRollout(
            key=f"{uid}_{number % 5}_0",
            uid=uid,
            row_id=f"data-{number // 5}",
            source=f"source{number % 6}",
            question=text(120),
            reference=f"<{modality}>opacity",
            reply=f"<{modality}><thinking>{think}</thinking><answer>a small opacity</answer>",
            answer="a small opacity",
            modality=modality,
            think=think,
            parts={name: round(chance.random(), 3) for name in PARTS},
            reasons=dict.fromkeys(PARTS, "the judge says YES"),
            overall=chance.random(),
            masked=False,
            failure=None,
            outage=False,
            cut=False,
            tokens=600,
            weights=WEIGHTS,
            image=True,
        )

    return [one(number) for number in range(count)]


def make(run: Path, steps: int, count: int) -> dict[str, float]:
    """Write the run's folder; the seconds and bytes of a step."""
    folder, seconds = SamplesFolder(run / "samples"), 0.0
    for step in range(1, min(steps, DIFFERENT) + 1):
        made = rollouts(step, count)
        start = time.process_time()
        folder.write("train", step, made)
        folder.add_advantages(step, {rollout.key: 0.5 for rollout in made})
        seconds += time.process_time() - start
    for step in range(DIFFERENT + 1, steps + 1):
        source = folder.path("train", (step - 1) % DIFFERENT + 1)
        shutil.copyfile(source, folder.path("train", step))
        shutil.copyfile(path_of(source), path_of(folder.path("train", step)))
    (run / "metrics").mkdir()
    names = [f"reward/{part}/{kind}" for part in PARTS for kind in ("mean", "interval", "p10")] + ["timing_s/step"]
    with (run / "metrics" / "attempt_001.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"step": s, "data": dict.fromkeys(names, 0.5)}) + "\n" for s in range(1, steps + 1))
    config: dict[str, Any] = {"run": {"name": "long", "seed": 1}, "reward": {"weights": WEIGHTS}}
    config["data"] = {"train_files": [], "val_files": [], "image_key": "images", "train_batch_size": count // 5}
    config["trainer"] = {"total_training_steps": steps, "nnodes": 1, "n_gpus_per_node": 8, "device": "cuda"}
    rollout, actor = {"n": 5}, {"ppo_mini_batch_size": 128}
    config["actor_rollout_ref"] = {"model": {"path": "policy"}, "rollout": rollout, "actor": actor}
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (run / "events.jsonl").write_text(json.dumps({"time": 0.0, "event": "finished"}) + "\n", encoding="utf-8")
    lines, written = folder.path("train", 1), min(steps, DIFFERENT)
    start = time.process_time()
    packed = gzip.compress(lines.read_bytes(), compresslevel=1)
    pack = time.process_time() - start
    start = time.process_time()
    gzip.decompress(packed)
    return {
        "step_bytes": lines.stat().st_size,
        "index_bytes": path_of(lines).stat().st_size,
        "write_seconds": round(seconds / written, 2),
        "gzip_bytes": len(packed),
        "gzip_seconds": round(pack, 2),
        "gunzip_seconds": round(time.process_time() - start, 2),
    }


def driver(count: int) -> dict[str, float]:
    """Processor seconds of what the driver does with a step's rollouts."""
    made = rollouts(1, count)
    records = [(rollout.to_verl(), rollout.key) for rollout in made]
    with tempfile.TemporaryDirectory() as root:
        folder, advantages = SamplesFolder(Path(root)), {rollout.key: 0.5 for rollout in made}
        parts: dict[str, Callable[[], object]] = {
            "read": lambda: [ScoredRollout.from_verl(record, key=key, tokens=600) for record, key in records],
            "metrics": lambda: reward_metrics(made, "reward"),
            "write": lambda: folder.write("train", 1, made),
            "advantages": lambda: folder.add_advantages(1, advantages),
        }
        seconds: dict[str, float] = {"rollouts": count}
        for name, work in parts.items():
            start = time.process_time()
            work()
            seconds[name] = round(time.process_time() - start, 2)
    return seconds


def measured(*arguments: str) -> dict[str, float]:
    """Wall and processor seconds of a command and its peak of resident memory, in MB.

    A small process starts it, because a process counts the memory of the one that it was forked from.
    """
    command = [sys.executable, "-c", _LAUNCH, sys.executable, "-m", "medix_r1.cli", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seen: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seen


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rollouts", type=int, default=2560)
    given = parser.parse_args()
    values = results_file.provenance() | {"driver": [driver(count) for count in (2560, 10240)]}
    with tempfile.TemporaryDirectory(prefix="samples") as folder:
        run = Path(folder)
        values |= {"steps": given.steps, "rollouts": given.rollouts, **make(run, given.steps, given.rollouts)}
        sort = ("samples", str(run), "--sort", "embed-llm", "--limit", "10")
        values["sort"], values["report"] = measured(*sort), measured("report", str(run))
        for index in run.glob("samples/*/*.parquet"):
            index.unlink()
        values["sort_without"], values["report_without"] = measured(*sort), measured("report", str(run))
    results_file.keep("samples", "a_long_run", values)
    print(json.dumps(values, indent=1))


if __name__ == "__main__":
    main()
