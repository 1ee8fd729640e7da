"""Shows a comparison of runs: tables in the terminal, Markdown, CSV, and curves on shared axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from medix_r1.evaluation.results.records import atomic_write
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, number
from medix_r1.reports.compare import HELD_OUT, PARTS, TRAINING, Estimate, Kind, Run

_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_MARKERS = "osD^vPX*<>"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe and Ito
_TITLES = {"overall": "reward, by each run's own weights", "llm": "llm (judge)", "exact": "exact match (no reward)"}
_NOTES = (
    "Held-out means; in brackets the 95 % interval over seeds (Student's t), which is wide for two or three seeds.",
    "`overall` is each run's own mix: between mixes it does not compare. `composite` weighs the means of the parts as "
    "the paper does, for every run; `exact` is no reward of any run.",
)


def sheets(kinds: Sequence[Kind], gaps: Sequence[str] = ()) -> list[Sheet]:
    """The tables: at the last validation, at the best one, and what it took; gaps are said below the first."""
    return [
        _values("at the last validation", kinds, lambda run: run.last_validation, (*gaps, *_NOTES)),
        _values(
            "at the best validation by held-out reward",
            kinds,
            lambda run: run.best_validation,
            ("The best of several noisy values is too good by itself; it chooses a checkpoint and measures nothing.",),
        ),
        _cost(kinds),
    ]


def show(kinds: Sequence[Kind], console: Console, gaps: Sequence[str] = ()) -> None:
    """Print all tables."""
    for sheet in sheets(kinds, gaps):
        sheet.show(console)


def write(kinds: Sequence[Kind], folder: Path, gaps: Sequence[str] = ()) -> list[Path]:
    """Write compare.md, compare.csv and compare.png into a folder."""
    paths = [folder / f"compare.{end}" for end in ("md", "csv", "png")]
    atomic_write(paths[0], "\n".join(sheet.markdown() for sheet in sheets(kinds, gaps)))
    atomic_write(paths[1], csv_text([row for kind in kinds for row in _rows(kind)]))
    draw(kinds, paths[2])
    return paths


def _values(title: str, kinds: Sequence[Kind], step_of: Callable[[Run], int | None], notes: Sequence[str]) -> Sheet:
    rows = [
        [kind.label, str(len(kind.runs)), *(_cell(value) for value in _parts_at(kind, step_of).values())]
        for kind in kinds
    ]
    return Sheet(title, ["run", "seeds", *PARTS, "composite"], rows, notes)


def _parts_at(kind: Kind, step_of: Callable[[Run], int | None]) -> dict[str, Estimate]:
    def at(run: Run, part: str) -> float | None:
        step = step_of(run)
        if step is None:
            return None
        return run.yardstick(step) if part == "composite" else run.series(part, HELD_OUT).get(step)

    return {part: kind.over_seeds(lambda run, part=part: at(run, part)) for part in (*PARTS, "composite")}  # type: ignore[misc]


def _cell(value: Estimate) -> str:
    return number(value.mean) + (f" {between(value.interval, '.2f')}" if value.interval else "")


def _cost(kinds: Sequence[Kind]) -> Sheet:
    rows = []
    for kind in kinds:
        minutes = kind.over_seeds(lambda run: run.total("timing_s/step")).mean
        calls = kind.over_seeds(lambda run: run.total("reward/llm/calls")).mean
        steps = kind.over_seeds(lambda run: float(run.steps)).mean
        shown = [number(steps, ".0f"), number(minutes and minutes / 60, ".1f"), number(calls, ".0f")]
        rows.append([kind.label, str(len(kind.runs)), *shown])
    header = ["run", "seeds", "steps", "minutes in steps", "judge calls"]
    return Sheet("what it took, mean of a run", header, rows, ("Calls while training, without those of validations.",))


def _rows(kind: Kind) -> list[dict[str, Any]]:
    """One line a run, unrounded."""
    return [
        {
            "kind": kind.label,
            "seed": run.seed,
            "folder": run.root.name,
            "steps": run.steps,
            "seconds_in_steps": run.total("timing_s/step"),
            "judge_calls": run.total("reward/llm/calls"),
            **_flat("final", run, run.last_validation),
            **_flat("best", run, run.best_validation),
        }
        for run in kind.runs
    ]


def _flat(name: str, run: Run, step: int | None) -> dict[str, Any]:
    parts = {part: None if step is None else run.series(part, HELD_OUT).get(step) for part in PARTS}
    composite = None if step is None else run.yardstick(step)
    return {f"{name}_step": step, **{f"{name}_{part}": v for part, v in parts.items()}, f"{name}_composite": composite}


def draw(kinds: Sequence[Kind], path: Path) -> None:
    """Draw each part, held out as marked lines, while training as thin ones; dash and marker tell kinds apart too."""
    import matplotlib

    matplotlib.use("Agg")  # a server has no display
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7), sharex=True, sharey=True, layout="constrained")
    for axis, part in zip(axes.flat, PARTS, strict=True):
        for index, kind in enumerate(kinds):
            style: dict[str, Any] = {"color": _COLOURS[index % 7], "linestyle": _STYLES[index % 7]}
            axis.plot(*_mean_curve(kind, part, TRAINING), linewidth=0.7, alpha=0.5, **style)
            marker = _MARKERS[index % len(_MARKERS)]
            axis.plot(*_mean_curve(kind, part, HELD_OUT), linewidth=1.8, marker=marker, label=kind.label, **style)
        axis.set_title(_TITLES.get(part, part), fontsize=10)
        axis.set_ylim(-0.03, 1.03)
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, names = axes.flat[0].get_legend_handles_labels()
    title = "Over the steps, means over seeds. Marked lines: held out; thin lines: while training"
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), frameon=False, title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _mean_curve(kind: Kind, part: str, where: str) -> tuple[list[int], list[float]]:
    """The mean over the runs of a kind at the steps that all of them have."""
    curves = [curve for run in kind.runs if (curve := run.series(part, where))]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return steps, [float(np.mean([curve[step] for curve in curves])) for step in steps]
