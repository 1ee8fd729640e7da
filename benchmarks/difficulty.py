"""What measured difficulty promises, and what a run on chosen rows needs: writes results/difficulty.json.

python benchmarks/difficulty.py prediction MEASURED.jsonl RUN   # of a frozen policy (optim.lr=1e-30)
python benchmarks/difficulty.py curve NAME RUN MEASURING        # held-out `exact`; replies that choosing rows cost
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import results_file
from scipy.stats import binomtest

from medix_r1.difficulty.estimates import estimates
from medix_r1.runs.folder import RunFolder, read_lines

GROUP = 5
EXACT = "heldout/heldout_views/exact/mean"


def prediction(measured: Path, run: RunFolder) -> None:
    """Promised and seen share of groups of equal verdicts; of the first 72 groups, too."""
    rows = [json.loads(line) for line in measured.read_text(encoding="utf-8").splitlines()[1:]]
    promised = estimates([row["values"] for row in rows], sizes=(GROUP,)).teaches[GROUP]
    assert promised.interval is not None
    groups: dict[str, set[float]] = defaultdict(set)
    for path in sorted((run.samples / "train").glob("*.jsonl")):
        for line in read_lines(path):
            groups[line["uid"]].add(line["parts"]["llm"])
    names = sorted(groups)

    def seen(of: Sequence[str]) -> dict[str, object]:
        equal = sum(len(groups[name]) == 1 for name in of)
        interval = binomtest(equal, len(of)).proportion_ci(method="wilson")
        return {"groups": len(of), "equal": equal, "interval": [round(interval.low, 4), round(interval.high, 4)]}

    replies = sum(len(row["values"]) + len(row["masked"]) for row in rows)
    interval = [round(1 - promised.interval.high, 4), round(1 - promised.interval.low, 4)]
    values = {"rows": len(rows), "replies": replies, "promised": round(1 - promised.value, 4), "interval": interval}
    about = results_file.provenance() | {"command": "python benchmarks/difficulty.py prediction MEASURED.jsonl RUN"}
    results_file.keep("difficulty", "prediction", {**about, **values, "seen": seen(names), "first": seen(names[:72])})


def curve(name: str, run: RunFolder, measuring: int) -> None:
    """Held-out `exact` by training replies, those of refills included."""
    points, replies = [], 0.0
    for step, metrics in sorted(run.metrics_by_step().items()):
        if step:
            trained = len({line["key"] for line in read_lines(run.samples / "train" / f"{step:06d}.jsonl")})
            replies += max(trained, metrics.get("sampler/refilled_rollouts", 0.0) + 24 * GROUP)
        if EXACT in metrics:
            points.append([step, round(replies), round(metrics[EXACT], 4)])
    about = results_file.provenance() | {"command": f"python benchmarks/difficulty.py curve {name} RUN {measuring}"}
    results_file.keep("difficulty", name, {**about, "measuring": measuring, "points": points})


if __name__ == "__main__":
    if sys.argv[1] == "prediction":
        prediction(Path(sys.argv[2]), RunFolder(Path(sys.argv[3])))
    else:
        curve(sys.argv[2], RunFolder(Path(sys.argv[3])), int(sys.argv[4]))
