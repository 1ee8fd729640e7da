"""Runs the demonstration: builds the policy, trains both arms for each seed, measures, keeps what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import results_file
from medix_r1.demo.batches import read_rows
from medix_r1.demo.build import add_bar, bars, build
from medix_r1.demo.rows import labels as label_file
from medix_r1.runs import checkpoints
from tools.nano.calibration import arms, figure, measure

FIGURE = Path(__file__).parents[3] / "docs" / "calibration.png"
_COLUMNS = ("said", "right", "ece", "brier", "best_constant", "auroc", "aurc", "at_coverage")


def demonstrate(out: Path, folder: Path, seeds: Sequence[int], *, keep: bool, console: Console) -> dict[str, Any]:
    """Run what is missing; print and return what came out.

    Args:
        out: the demo's folder; what is missing of it is built.
        folder: of the runs, ARM_SEED each.
        seeds: of the runs.
        keep: also write benchmarks/results/calibration.json and the figure of docs/calibration.md.
        console: for tables.
    """
    about = results_file.provenance("python -m tools.nano")
    build(out, console=console)
    policy = confident_policy(out)
    hedges, runs = label_file.load().hedges, {arm: list[dict[str, Any]]() for arm in arms.ARMS}
    for seed in seeds:
        for arm in arms.ARMS:
            run = folder / f"{arm}_{seed}"
            if not is_finished(run):
                arms.train(arm, seed, out, policy, run)
            runs[arm].append({"seed": seed, "points": measure.measured(run, out, hedges)})
    console.print(table(runs))
    found = {**about, "steps": arms.STEPS, "weight": arms.WEIGHT, "runs": runs}
    (folder / "calibration.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    figure.draw(folder / "calibration.png", runs)
    if keep:
        results_file.keep("calibration", "nano", {**found, "runs": without_curves(runs)})
        figure.draw(FIGURE, runs)
    return found


def without_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The runs without what only the figure draws, which would make the kept file long."""
    curves = ("risks", "bins")

    def short(point: Mapping[str, Any]) -> dict[str, Any]:
        worth = {which: {n: v for n, v in point[which].items() if n not in curves} for which in ("all", "committed")}
        return {**point, **worth}

    return {
        arm: [{**run, "points": [short(point) for point in run["points"]]} for run in members]
        for arm, members in runs.items()
    }


def is_finished(run: Path) -> bool:
    """Whether the run's newest checkpoint is that of its last step."""
    found = checkpoints.all_folders(run / "checkpoints")
    return any(checkpoints.step_of(one) == arms.STEPS for one in found)


def confident_policy(out: Path) -> Path:
    """The policy that says confidences, in OUT/models; trained from the demo's if it is not there (a minute)."""
    from tools.nano.policy import confident
    from tools.nano.policy.model import save_folder
    from tools.nano.train import round_to_bfloat16

    folder = out / "models" / arms.POLICY
    if not (folder / "config.json").is_file():
        rows = read_rows(out / "data" / "train.parquet")
        with bars(None) as progress:
            advance = add_bar(progress, arms.POLICY, confident.CONFIDE.steps)
            model, tokenizer = confident.trained(out / "models" / "policy", rows, label_file.load(), advance)
        round_to_bfloat16(model)
        save_folder(folder, model, tokenizer)
    return folder


def table(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """First and last validation of each run: all replies, and those that commit to an answer."""
    shown = Table(title="what the confidences are worth", title_justify="left")
    for heading in ("run", "step", "set", "replies", "exact", *_COLUMNS):
        shown.add_column(heading, no_wrap=True)
    for arm, members in runs.items():
        for run in members:
            steps = {one["step"] for one in run["points"]}
            for one in run["points"]:
                for which in ("all", "committed") if one["step"] in (min(steps), max(steps)) else ():
                    cells = [_cell(one[which], name) for name in _COLUMNS]
                    head = [f"{arm} {run['seed']}", str(one["step"]), one["set"], which, f"{one['exact']:.3f}"]
                    shown.add_row(*head, *cells)
    return shown


def _cell(worth: Mapping[str, Any], name: str) -> str:
    value, around = worth.get(name), worth.get(f"{name}_interval")
    if value is None:
        return "-"
    if name == "said":
        return str(value)
    return f"{value:.3f}" + (f" ({around[0]:.2f} to {around[1]:.2f})" if around and name in ("ece", "auroc") else "")
