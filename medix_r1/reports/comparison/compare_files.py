"""Shows a comparison of runs: tables in the terminal, Markdown, CSV, and curves on shared axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, number
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import DASHES, MARKERS, figure_files, themed_picture
from medix_r1.reports.run_groups import CALIBRATION, HELD_OUT, PARTS, TRAINING, Estimate, Run, RunGroup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_WITH_TRAINING = 3  # groups whose thin lines of training can be told apart
_DODGE = 0.012  # of the steps' range: markers of equal values stand beside each other
_LEAST_RANGE = 0.1  # of a panel, so that a difference of a thousandth does not look like one
_TITLES = {"overall": "reward, by each run's own weights", "llm": "llm (judge)", "exact": "exact match (no reward)"}
_NOTES = (
    "Held-out means; in brackets the 95 % interval over seeds (Student's t), which is wide for two or three seeds.",
    "`overall` is each run's own mix: between mixes it does not compare. `composite` weighs the means of the parts as "
    "the paper does, for every run; `exact` is no reward of any run.",
)


def sheets(groups: Sequence[RunGroup], gaps: Sequence[str] = ()) -> list[Sheet]:
    """The tables: values at the last validation and at the best one, and the cost. `gaps` are notes of the first."""
    return [
        _values("at the last validation", groups, lambda run: run.last_validation, (*gaps, *_NOTES)),
        _values(
            "at the best validation by held-out reward",
            groups,
            lambda run: run.best_validation,
            ("The best of several noisy values is too good by itself; it chooses a checkpoint and measures nothing.",),
        ),
        *_confidences(groups),
        _cost(groups),
    ]


def show(groups: Sequence[RunGroup], console: Console, gaps: Sequence[str] = ()) -> None:
    """Print all tables."""
    for sheet in sheets(groups, gaps):
        sheet.show(console)


def write(groups: Sequence[RunGroup], folder: Path, gaps: Sequence[str] = ()) -> list[Path]:
    """Write compare.md, compare.csv, compare.png and compare_dark.png into a folder."""
    paths = [folder / f"compare.{end}" for end in ("md", "csv", "png")]
    picture = themed_picture(paths[2], "Held-out values over the steps, a panel for each part of the reward")
    atomic_write(paths[0], "\n".join([*(sheet.markdown() for sheet in sheets(groups, gaps)), picture]))
    atomic_write(
        paths[1],
        csv_text([row for group in groups for row in _rows(group, confident=bool(list(_confidences(groups))))]),
    )
    return paths[:2] + draw(paths[2], groups)


def _values(
    title: str, groups: Sequence[RunGroup], step_of: Callable[[Run], int | None], notes: Sequence[str]
) -> Sheet:
    rows = [
        [group.label, str(len(group.runs)), *(_cell(value) for value in _parts_at(group, step_of).values())]
        for group in groups
    ]
    return Sheet(title, ["run", "seeds", *PARTS, "composite"], rows, notes)


def _confidences(groups: Sequence[RunGroup]) -> Iterator[Sheet]:
    """What stated confidences are worth at the last validation; no table where no run's reward looks at them."""
    found = {group.label: {name: group.over_seeds(_confident(name)) for name in CALIBRATION} for group in groups}
    if any(value.runs for measures in found.values() for value in measures.values()):
        rows = [[g.label, str(len(g.runs)), *(_cell(value) for value in found[g.label].values())] for g in groups]
        notes = ("Brier, ECE and AURC are better when lower; an AUROC of 0.5 is a confidence that knows nothing.",)
        yield Sheet(
            "what confidences are worth, at the last validation", ["run", "seeds", *CALIBRATION.values()], rows, notes
        )


def _confident(measure: str) -> Callable[[Run], float | None]:
    return lambda run: run.series("calibration", HELD_OUT, measure).get(run.last_validation or 0)


def _parts_at(group: RunGroup, step_of: Callable[[Run], int | None]) -> dict[str, Estimate]:
    def at(run: Run, part: str) -> float | None:
        step = step_of(run)
        if step is None:
            return None
        return run.paper_composite(step) if part == "composite" else run.series(part, HELD_OUT).get(step)

    return {part: group.over_seeds(lambda run, part=part: at(run, part)) for part in (*PARTS, "composite")}  # type: ignore[misc]


def _cell(value: Estimate) -> str:
    return number(value.mean) + (f" {between(value.interval, '.2f')}" if value.interval else "")


def _cost(groups: Sequence[RunGroup]) -> Sheet:
    rows = []
    for group in groups:
        minutes = group.over_seeds(lambda run: run.total("timing_s/step")).mean
        calls = group.over_seeds(lambda run: run.total("reward/llm/calls")).mean
        steps = group.over_seeds(lambda run: float(run.steps)).mean
        shown = [number(steps, ".0f"), number(minutes and minutes / 60, ".1f"), number(calls, ".0f")]
        rows.append([group.label, str(len(group.runs)), *shown])
    header = ["run", "seeds", "steps", "minutes in steps", "judge calls"]
    return Sheet("what it took, mean of a run", header, rows, ("Calls while training, without those of validations.",))


def _rows(group: RunGroup, *, confident: bool) -> list[dict[str, Any]]:
    """One CSV row for each run, unrounded."""
    return [
        {
            "kind": group.label,
            "seed": run.seed,
            "folder": run.root.name,
            "steps": run.steps,
            "seconds_in_steps": run.total("timing_s/step"),
            "judge_calls": run.total("reward/llm/calls"),
            **_flat("final", run, run.last_validation),
            **_flat("best", run, run.best_validation),
            **(_confident_row(run) if confident else {}),
        }
        for run in group.runs
    ]


def _confident_row(run: Run) -> dict[str, float | None]:
    return {f"final_confidence_{measure}": _confident(measure)(run) for measure in CALIBRATION}


def _flat(name: str, run: Run, step: int | None) -> dict[str, Any]:
    parts = {part: None if step is None else run.series(part, HELD_OUT).get(step) for part in PARTS}
    composite = None if step is None else run.paper_composite(step)
    return {f"{name}_step": step, **{f"{name}_{part}": v for part, v in parts.items()}, f"{name}_composite": composite}


@figure_files
def draw(groups: Sequence[RunGroup]) -> Figure:
    """Draw each part: held-out values as lines with markers, those of few groups with thin lines of training.

    Every panel has a range of its own, so that groups that end close to each other can be told apart.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    held_out = any(_mean_curve(group, part, HELD_OUT)[0] for group in groups for part in PARTS)
    thin = len(groups) <= _MOST_WITH_TRAINING or not held_out
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True)
    for axis, part in zip(axes.flat, PARTS, strict=True):
        for index, group in enumerate(groups):
            _draw_group(axis, group, part, index, len(groups), thin=thin)
        axis.set_title(_TITLES.get(part, part))
        axis.margins(x=0.05, y=0.12)
        low, high = axis.get_ylim()
        if high - low < _LEAST_RANGE:
            axis.set_ylim((low + high - _LEAST_RANGE) / 2, (low + high + _LEAST_RANGE) / 2)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, names = axes.flat[0].get_legend_handles_labels()
    title = "Held out over the steps, means over seeds; ranges differ from panel to panel"
    title += ". Thin lines: while training" if thin else ""
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), title=title)
    return figure


def _draw_group(axis: Any, group: RunGroup, part: str, index: int, count: int, *, thin: bool) -> None:
    style: dict[str, Any] = {"color": f"C{index}", "linestyle": DASHES[index % len(DASHES)]}
    if thin:
        axis.plot(*_mean_curve(group, part, TRAINING), linewidth=0.7, alpha=0.5, **style)
    steps, values = _mean_curve(group, part, HELD_OUT)
    shift = (index - (count - 1) / 2) * _DODGE * (max(steps) - min(steps) if steps else 0)
    marker = MARKERS[index % len(MARKERS)]
    axis.plot([step + shift for step in steps], values, linewidth=1.6, marker=marker, label=group.label, **style)


def _mean_curve(group: RunGroup, part: str, where: str) -> tuple[list[int], list[float]]:
    """Steps that all runs of a group have, and the mean over the runs at each."""
    curves = [curve for run in group.runs if (curve := run.series(part, where))]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return steps, [float(np.mean([curve[step] for curve in curves])) for step in steps]
