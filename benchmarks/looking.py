"""Keeps what a run says of looking in results/looking.json, which docs/looking.md quotes.

python benchmarks/looking.py RUN PART WHAT   # WHAT: what it trained on, in a few words
"""

from __future__ import annotations

import sys
from pathlib import Path

import results_file
import yaml

from medix_r1.runs.folder import RunFolder, read_lines

METRICS = {
    "reward": "reward/overall/mean",
    "exact": "selection/exact/mean",
    "gap": "looking/real_minus_shuffled",
    "exact_gap": "looking/real_minus_shuffled/by_part/exact",
    "interval": "looking/real_minus_shuffled/interval",
    "unchanged": "looking/unchanged_share/shuffled",
    "seconds": "looking/seconds",
    "nats": "actor/looking_nats",
    "update_seconds": "timing_s/update_actor",
}


def main() -> None:
    """Read the metrics and alarms of one run."""
    run, part, what = sys.argv[1:]
    folder = RunFolder(Path(run))
    steps = folder.metrics_by_step()
    values = {
        name: {str(step): round(found[metric], 4) for step, found in steps.items() if metric in found}
        for name, metric in METRICS.items()
    }
    alarms = [
        {"step": event["step"], "name": event["name"]}
        for event in read_lines(folder.events)
        if event["event"] == "alarm"
    ]
    seed = yaml.safe_load(folder.config.read_text(encoding="utf-8"))["run"]["seed"]
    about = results_file.provenance()
    results_file.keep("looking", part, {**about, "what": what, "seed": seed, "alarms": alarms, **values})


if __name__ == "__main__":
    main()
