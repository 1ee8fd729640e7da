"""How often the 95 % interval of an evaluation holds the truth, measured on benchmarks whose truth is known.

Simulated: `clusters` images, 1 to 7 questions each, every image with its own chance of a right answer (a beta
distribution with an intra-cluster correlation of 1/3) whose mean is the truth. Beside ours stand Wilson's interval
over the samples, which forgets the clusters, and how often there is no interval at all (all clusters equal). Kept in
results/interval_coverage.json, which `make docs` quotes.

    .venv/bin/python benchmarks/interval_coverage.py
"""

from __future__ import annotations

import argparse

import numpy as np
import results_file
from scipy.stats import binomtest

from medix_r1.evaluation.results.statistics import mean


def simulate(clusters: int, right: float, rng: np.random.Generator) -> tuple[list[float], list[str]]:
    """One benchmark: scores and the image of each."""
    sizes = rng.integers(1, 8, clusters)
    chances = rng.beta(right * 2, (1 - right) * 2, clusters)
    values = np.concatenate([rng.random(n) < p for n, p in zip(sizes, chances, strict=True)]).astype(float)
    return list(values), [str(n) for n in np.repeat(np.arange(clusters), sizes)]


def coverage(clusters: int, right: float, runs: int, resamples: int) -> tuple[float, float, int]:
    """Shares of intervals that hold the truth (ours, Wilson's), and runs without an interval of ours."""
    rng = np.random.default_rng([clusters, round(100 * right)])
    held, naive, none = 0, 0, 0
    for _ in range(runs):
        values, groups = simulate(clusters, right, rng)
        wilson = binomtest(int(sum(values)), len(values)).proportion_ci(method="wilson")
        naive += wilson.low <= right <= wilson.high
        interval = mean(values, groups, resamples=resamples).interval
        none += interval is None
        held += interval is not None and interval.low <= right <= interval.high
    return held / max(1, runs - none), naive / runs, none


def main() -> None:
    """Measure, print a Markdown table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=999)
    options = parser.parse_args()
    about, rows = results_file.provenance(), []
    print(f"{options.runs} simulated benchmarks a line, {options.resamples} draws each\n")
    print("| clusters | truth | clustered BCa | Wilson over samples | no interval |\n|---:|---:|---:|---:|---:|")
    for clusters in (5, 10, 20, 50, 100):
        for right in (0.5, 0.7, 0.9):
            ours, naive, none = coverage(clusters, right, options.runs, options.resamples)
            print(f"| {clusters} | {right} | {ours:.1%} | {naive:.1%} | {none / options.runs:.1%} |", flush=True)
            shares = {"clustered": round(ours, 6), "wilson": round(naive, 6), "none": round(none / options.runs, 6)}
            rows.append({"clusters": clusters, "truth": right, **shares})
    settings = {"runs": options.runs, "resamples": options.resamples}
    results_file.keep("interval_coverage", "coverage", {**about, **settings, "rows": rows})


if __name__ == "__main__":
    main()
