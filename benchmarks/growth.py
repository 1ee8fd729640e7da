"""How bytes and seconds grow with pictures, rollouts and ranks, and what that means for larger machines, on paper.

    python benchmarks/growth.py

Reads results/transport.json. An exponent e says that doubling the size multiplies the figure by 2^e: the slope of a
straight line through the logarithms. The paper part takes the memory estimate of `medix-r1 check` for the 8B recipe
with pictures of four megapixels. Kept in results/growth.json; the plot is docs/scale_growth.png.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import results_file

matplotlib.use("Agg")  # a server has no display

from matplotlib import pyplot

from medix_r1.config import compose_train
from medix_r1.training.preflight.machine import host_memory

PLOT = Path(__file__).parent.parent / "docs" / "scale_growth.png"
FIGURES = {
    "stored": "bytes stored",
    "moved": "bytes moved",
    "storage_unit_memory": "memory of the storage unit",
    "rank_memory": "memory of the ranks",
    "loader_and_driver": "bytes through loader and driver",
    "put_cpu": "seconds of put",
    "get_cpu": "seconds of get",
}
WAYS = {"medix": ("ours", "#0072b2", "o", "-"), "verl": ("verl 0.9.1", "#d55e00", "s", "--")}
MEGAPIXELS, ROLLOUTS = 4.0, 5
RECIPE = ["experiment=medix_r1_8b_grpo", "judge.client.base_url=http://127.0.0.1:1/v1"]
PAPER = [(1, 512), (16, 512), (16, 8192)]  # nodes of eight GPUs, prompts a step
GB = 1e9

Cases = Sequence[dict[str, Any]]


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of the least-squares line through the logarithms; None where a figure is too small to be measured."""
    if min(y for _, y in points) <= 0:
        return None
    x, y = ([math.log(one) for one in column] for column in zip(*points, strict=True))
    return round(statistics.linear_regression(x, y).slope, 2)


def exponents(cases: Cases, by_ranks: Cases) -> list[dict[str, Any]]:
    """Exponents of each figure, by what grows, of both ways."""
    along = {
        "megapixels": [case for case in cases if case["rollouts"] == ROLLOUTS],
        "rollouts": [case for case in cases if case["megapixels"] == MEGAPIXELS],
        "ranks": list(by_ranks),
    }
    return [
        {"figure": title}
        | {
            size: {way: exponent([(c[size], c[way][name]) for c in some]) for way in WAYS}
            for size, some in along.items()
        }
        for name, title in FIGURES.items()
    ]


def plot(cases: Cases) -> None:
    """Bytes stored for a prompt against the picture's size and against the rollouts."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    for way, (name, colour, marker, dash) in WAYS.items():
        style = {"color": colour, "marker": marker, "linestyle": dash, "label": name}
        for axis, size, fixed, value in (
            (left, "megapixels", "rollouts", ROLLOUTS),
            (right, "rollouts", "megapixels", MEGAPIXELS),
        ):
            points = [(case[size], case[way]["stored"] / 1e6) for case in cases if case[fixed] == value]
            axis.plot(*zip(*points, strict=True), **style)
            axis.set(xscale="log", yscale="log")
            axis.set_xticks([x for x, _ in points], labels=[f"{x:g}" for x, _ in points])
            axis.minorticks_off()
    for axis, title in ((left, f"megapixels, {ROLLOUTS} rollouts"), (right, f"rollouts, {MEGAPIXELS:g} megapixels")):
        axis.set_xlabel(title)
        axis.grid(visible=True, which="major", alpha=0.3)
    left.set_ylabel("MB stored for a prompt")
    left.legend(frameon=False)
    figure.savefig(PLOT, dpi=120)
    pyplot.close(figure)


def on_paper(case: dict[str, Any]) -> list[dict[str, Any]]:
    """For each number of nodes and prompts: GB in a node, GB that pass the network or loopback in a step."""
    found = []
    for nodes, prompts in PAPER:
        config = compose_train([*RECIPE, f"trainer.nnodes={nodes}", f"data.train_batch_size={prompts}"])
        parts = host_memory.estimate(config, MEGAPIXELS * 1e6)
        ranks = nodes * config.trainer.n_gpus_per_node
        pixels = case["medix"]["largest"]["pixels of the prompt"]
        rest = case["medix"]["stored"] - pixels  # of all rollouts of a prompt
        fetched = prompts * min(ROLLOUTS, ranks)  # the rollouts of a prompt lie on as many ranks as there can be
        moved = (prompts + fetched) * pixels + 4 * prompts * rest
        found.append(
            {
                "nodes": nodes,
                "prompts": prompts,
                "memory": {name: round(size / GB, 1) for name, size in parts.items()},
                "memory_of_a_node": round(sum(parts.values()) / GB),
                "moved": round(moved / GB),
                "moved_of_a_node": round(moved / GB / nodes, 1),
                "driver": round(prompts * case["medix"]["loader_and_driver"] / GB, 1),
                "verl_stored_of_a_node": round(prompts * case["verl"]["stored"] / GB / nodes),
                "verl_moved_of_a_node": round(prompts * case["verl"]["moved"] / GB / nodes),
            }
        )
    return found


def main() -> None:
    """Compute, draw and keep."""
    measured = json.loads((results_file.RESULTS / "transport.json").read_text(encoding="utf-8"))
    cases, by_ranks = measured["a_prompt"]["cases"], measured["by_ranks"]["cases"]
    plot(cases)
    (largest,) = (c for c in cases if c["megapixels"] == MEGAPIXELS and c["rollouts"] == ROLLOUTS)
    values = results_file.provenance()
    values |= {"exponents": exponents(cases, by_ranks), "paper": on_paper(largest), "by_ranks": list(by_ranks)}
    results_file.keep("growth", "of_a_prompt", values)
    print(json.dumps(values, indent=1))


if __name__ == "__main__":
    main()
