"""Plots of a run: the reward and its parts over the steps, and bars before and after training.

Lines differ by marker and dash, bars by hatching, so that plots can be read without colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medix_r1.pages.style import figure_files, ink, paper

Metrics = Mapping[int, Mapping[str, float]]

SIGNALS = ("overall", "llm", "embed", "format", "modality", "exact")
_TITLES = {"overall": "reward", "llm": "llm (judge)", "exact": "exact (no reward)"}
_HELDOUT = [("C1", "o", "--"), ("C2", "s", "-."), ("C3", "^", ":")]
_SMOOTH = 0.7  # share of the past in the running mean


@dataclass(frozen=True, slots=True)
class Bars:
    """One panel of a before-and-after plot; a value that was not measured is None."""

    title: str
    before: Mapping[str, float | None]
    after: Mapping[str, float | None]


@figure_files
def reward_curves(metrics: Metrics) -> Figure:
    """Draw each signal's mean over the steps, in training and on the held-out sets."""
    present = [name for name in SIGNALS if any(f"reward/{name}/mean" in values for values in metrics.values())]
    columns = 3 if len(present) > 1 else 1
    rows = max(1, -(-len(present) // columns))
    figure = Figure(figsize=(4 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axis, name in zip(axes.flat, present, strict=False):
        _draw_signal(axis, metrics, name)
    for axis in axes.flat[len(present) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if present:
        handles, names = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return figure


@figure_files
def before_after(panels: Sequence[Bars]) -> Figure:
    """Draw pairs of bars, one panel for each held-out set and decoding."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.8 * columns, 3.1 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw_bars(axis, panel)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_signal(axis: Any, metrics: Metrics, name: str) -> None:
    steps, values = _series(metrics, f"reward/{name}/mean")
    axis.plot(steps, values, color="C5", linewidth=0.8, alpha=0.7, label="train, each step")
    axis.plot(steps, _running_mean(values), color="C0", linewidth=2, label="train, running mean")
    for source, (color, marker, dashes) in zip(_heldout_sources(metrics), _HELDOUT, strict=False):
        steps, values = _series(metrics, f"heldout/{source}/{name}/mean")
        axis.plot(steps, values, color=color, marker=marker, linestyle=dashes, label=source)
    axis.set_title(_TITLES.get(name, name))
    axis.set_ylim(-0.03, 1.03)


def _draw_bars(axis: Any, panel: Bars) -> None:
    names = list(panel.before)
    styles = (
        ("before", panel.before, -0.2, {"color": paper(), "edgecolor": ink(), "hatch": "///"}),
        ("after", panel.after, 0.2, {"color": "C0", "edgecolor": "C0"}),
    )
    for label, values, offset, style in styles:
        heights = [values.get(name) or 0.0 for name in names]
        places = [place + offset for place in range(len(names))]
        bars = axis.bar(places, heights, width=0.38, label=label, **style)
        texts = ["-" if values.get(name) is None else f"{values[name]:.2f}" for name in names]
        axis.bar_label(bars, labels=texts, fontsize=8, padding=1)
    axis.set_xticks(range(len(names)), [_TITLES.get(name, name).replace(" (", "\n(") for name in names], fontsize=8)
    axis.set_title(panel.title, fontsize=10)
    axis.set_ylim(0, 1.12)
    axis.grid(visible=False, axis="x")


def _series(metrics: Metrics, key: str) -> tuple[list[int], list[float]]:
    points = [(step, values[key]) for step, values in metrics.items() if key in values]
    return [step for step, _ in points], [value for _, value in points]


def _heldout_sources(metrics: Metrics) -> list[str]:
    end = "/overall/mean"
    keys = {key for values in metrics.values() for key in values if key.startswith("heldout/") and key.endswith(end)}
    return sorted(key.removeprefix("heldout/").removesuffix(end) for key in keys)


def _running_mean(values: Sequence[float]) -> list[float]:
    smooth: list[float] = []
    for value in values:
        smooth.append(value if not smooth else _SMOOTH * smooth[-1] + (1 - _SMOOTH) * value)
    return smooth
