"""Real runs of a bf16 mixture of experts, each with another correction: `python benchmarks/router_replay_run.py`.

    python benchmarks/router_replay_run.py [--demo outputs/demo] [--folder DIR] [WAY ...]

Makes a random mixture of sixteen experts with a sharpened output layer, and trains it with `medix-r1 train`, three
steps a run, vLLM and actor in bf16, a reward that random replies differ in. How far vLLM's probabilities are from the
actor's is kept in results/router_replay_run.json, which docs/recipes.md quotes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import results_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from medix_r1.runs.folder import RunFolder, read_lines
from tests.support.mixture import OUTPUT_SCALE, REPLAY, SEED, build_mixture, run_words

WAYS = {
    "none": ["correction=none"],
    "tis_rs": ["correction=tis_rs"],
    "tis_rs_replay": ["correction=tis_rs", REPLAY],
}
METRICS = {
    "kl": "rollout_corr/kl",
    "k3_kl": "rollout_corr/k3_kl",
    "left_out": "rollout_corr/rollout_rs_masked_fraction",
    "probs_diff_mean": "training/rollout_probs_diff_mean",
    "entropy": "actor/entropy",
    "grad_norm": "actor/grad_norm",
}


def measured(folder: RunFolder) -> dict[str, Any]:
    """What a finished run said of each step, and its alarms."""
    steps = [metrics for step, metrics in sorted(folder.metrics_by_step().items()) if step > 0]
    found = {
        name: [float(f"{step[metric]:.4g}") for step in steps] for name, metric in METRICS.items() if metric in steps[0]
    }
    alarms = [[event["step"], event["name"]] for event in read_lines(folder.events) if event["event"] == "alarm"]
    return found | {"alarms": alarms}


def main() -> None:
    """Run each way and keep what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("outputs/demo"), help="folder of `medix-r1 demo build`")
    parser.add_argument("--folder", type=Path, help="where the runs are kept")
    parser.add_argument("ways", nargs="*", default=list(WAYS), metavar="WAY", help=", ".join(WAYS))
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="router-replay-run"))
    building = multiprocessing.get_context("spawn").Process(  # torch's memory is given back
        target=build_mixture, args=(folder / "mixture", SEED), kwargs={"output_scale": OUTPUT_SCALE}
    )
    building.start()
    building.join()
    for way in given.ways:
        about, run = results_file.provenance(), RunFolder(folder / way)
        words = [*run_words(given.demo.resolve(), folder / "mixture", *WAYS[way]), f"run.dir={run.root}"]
        subprocess.run([sys.executable, "-m", "medix_r1.cli", "train", *words], check=True)
        results_file.keep("router_replay_run", way, {**about, **measured(run)})


if __name__ == "__main__":
    main()
