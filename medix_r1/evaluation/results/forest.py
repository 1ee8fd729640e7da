"""A forest plot: one line for each estimate, with its confidence interval as a bar.

Averages differ by marker and weight, not by colour alone.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from medix_r1.evaluation.results.sheet import between, number
from medix_r1.evaluation.results.statistics import Estimate
from medix_r1.pages.style import figure_files, ink, paper
from medix_r1.untrusted import one_line


@dataclass(frozen=True, slots=True)
class Line:
    """One estimate of the picture.

    Attributes:
        name: left of the line.
        estimate: value and interval; "no score" is written when it has no value.
        strong: an average, drawn as a filled diamond; others are circles.
    """

    name: str
    estimate: Estimate
    strong: bool = False


@figure_files
def forest(
    lines: Sequence[Line],
    *,
    title: str,
    axis: str,
    limits: tuple[float, float] | None = None,
    zero: bool = False,
) -> Figure:
    """Draw estimates below each other.

    Args:
        lines: from top to bottom.
        title: above the picture.
        axis: label of the axis, with unit and kind of interval.
        limits: of the axis; by default fitted to the estimates.
        zero: draw a line at 0, where two results are equal.
    """
    figure = Figure(figsize=(9, 1.2 + 0.34 * max(2, len(lines))), layout="constrained")
    axes = figure.subplots()
    signed = "+.3f" if zero else ".3f"
    for place, line in enumerate(lines):
        _draw(axes, place, line, signed)
    if zero:
        axes.axvline(0.0, color=ink(), linewidth=1, linestyle="--")
    if limits:
        axes.set_xlim(limits[0] - 0.01, limits[1] + 0.01)
    axes.set_yticks(range(len(lines)), [label(line.name) for line in lines], fontsize=9)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel(label(axis))
    axes.set_title("\n".join(textwrap.wrap(label(title, 400), 75)), fontsize=10, loc="left")
    axes.grid(visible=False, axis="y")
    return figure


def _draw(axes: Any, place: int, line: Line, form: str) -> None:
    estimate, interval = line.estimate, line.estimate.interval
    color, marker, width = ("C1", "D", 2.6) if line.strong else ("C0", "o", 1.6)
    text = "no score"
    if estimate.value is not None:
        if interval is not None:
            axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=width, zorder=2)
            axes.plot([interval.low, interval.high], [place, place], "|", color=color, markersize=9, zorder=2)
        face = color if line.strong or interval else paper()  # hollow: no interval
        axes.plot(estimate.value, place, marker, color=color, markerfacecolor=face, markersize=7, zorder=3)
        text = f"{number(estimate.value, form)} {between(interval, form)}  n={estimate.samples}"
    weight = "bold" if line.strong else "normal"
    at = axes.get_yaxis_transform()
    axes.text(1.01, place, text, transform=at, va="center", fontsize=8, weight=weight, family="monospace")


def label(text: str, limit: int = 80) -> str:
    """Text of one line, safe for matplotlib."""
    return re.sub(r"([\\$])", r"\\\1", one_line(text, limit))  # "$" would start a formula
