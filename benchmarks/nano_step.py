"""Seconds a step and peak memory of the nano experiment: `python benchmarks/nano_step.py [override ...]`.

Trains 12 steps of 8 questions x 5 rollouts (40 responses) and prints the median of steps 3 to 12 by phase, and the peak
of the memory that the whole machine had in use above what was in use before. A run without overrides is kept in
results/nano_step.json, from which `make docs` writes the table of docs/cpu.md.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import results_file

from medix_r1.host.machine import GIB
from medix_r1.runs.folder import RunFolder

PHASES = ("gen", "old_log_prob", "adv", "update_actor", "update_weights", "step")


def main() -> None:
    """Run once, print a Markdown table, keep the figures."""
    overrides, about = sys.argv[1:], results_file.provenance()
    folder, before = RunFolder(Path(tempfile.mkdtemp(prefix="medix-bench-"))), psutil.virtual_memory().used
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            peak[0] = max(peak[0], psutil.virtual_memory().used)

    threading.Thread(target=watch, daemon=True).start()
    settings = [
        "experiment=nano_cpu",
        f"run.dir={folder.root}",
        "data.train_batch_size=8",
        "trainer.total_training_steps=12",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
    ]
    subprocess.run([sys.executable, "-m", "medix_r1.cli", "train", *settings, *overrides], check=True)
    done.set()
    steps = [metrics for step, metrics in folder.metrics_by_step().items() if step >= 3]
    seconds = {name: round(statistics.median(one[f"timing_s/{name}"] for one in steps), 2) for name in PHASES}
    peak_gib = round((peak[0] - before) / GIB, 1)
    print(f"{about['machine']}; load {about['load']}\n")
    print(f"| phase | median s of {len(steps)} steps |\n|---|---|")
    for phase, median in seconds.items():
        print(f"| {phase} | {median:.2f} |")
    print(f"\npeak memory above the start: {peak_gib} GiB")
    if not overrides:
        results_file.keep("nano_step", "runs", {**about, "seconds": seconds, "peak_gib": peak_gib}, add=True)


if __name__ == "__main__":
    main()
