"""Keys of the config that real runs read: `python benchmarks/config_reads.py [name ...]`.

Trains two steps of the nano experiment for each of `RUNS` (or those that are named), with config_read_trace.py as a
plug-in in every process, and keeps results/config_reads.json. tests/integration/test_config_reads.py holds the lists of
medix_r1/schema against it: what a run reads is not refused, and what no run reads is refused or has its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import results_file
from config_read_trace import FOLDER

_TRACE = Path(__file__).with_name("config_read_trace.py")
_SMALL = (
    *("experiment=nano_cpu", "reward=embedding_only", "judge=none", f"run.plugins=[{_TRACE}]"),
    *("data.train_batch_size=2", "actor_rollout_ref.rollout.n=2", "trainer.total_training_steps=2"),
    *("trainer.save_freq=2", "trainer.test_freq=2", "trainer.val_before_train=false"),
    *("data.val_max_samples=4", "actor_rollout_ref.rollout.val_kwargs.n=1"),
)
RUNS = {"grpo": ("actor_rollout_ref.actor.use_kl_loss=true", "algorithm.use_kl_in_reward=false")}


def main() -> None:
    """Run, merge what the processes wrote, keep it."""
    chosen, about = sys.argv[1:] or list(RUNS), results_file.provenance()
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="medix-reads-") as folder:
            reads, run = Path(folder, "reads"), Path(folder, "run")
            reads.mkdir()
            command = [sys.executable, "-m", "medix_r1.cli", "train", *_SMALL, *RUNS[name], f"run.dir={run}"]
            subprocess.run(command, check=True, env={**os.environ, FOLDER: str(reads)})
            lines = {line for file in reads.iterdir() for line in file.read_text(encoding="utf-8").splitlines()}
        found = {
            "read": sorted(line for line in lines if " " not in line),
            "whole": sorted(line.replace(" whole ", " by ") for line in lines if " whole " in line),
        }
        print(f"{name}: {len(found['read'])} keys, {len(found['whole'])} nodes as a whole")
        results_file.keep("config_reads", name, {"overrides": RUNS[name], **about, **found})


if __name__ == "__main__":
    main()
