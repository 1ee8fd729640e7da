"""Draws the demonstration: calibration error and AUROC over the steps, reliability and risk-coverage at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from medix_r1.pages.style import DASHES, MARKERS, figure_files, ink

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""Arm → its runs, each with `seed` and the `points` of `measure.measured`."""
_NAMES = {"earned": "confidence rewarded", "plain": "not rewarded"}
_SET = "heldout_views"


@figure_files
def draw(runs: Runs) -> Figure:
    """Four panels, a line for each run; runs of one arm share colour and dash."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    (error, ranked), (reliable, risk) = axes
    for place_of_arm, (arm, dash, marker) in enumerate(zip(runs, DASHES, MARKERS, strict=False)):
        for place, run in enumerate(runs[arm]):
            points = [one for one in run["points"] if one["set"] == _SET]
            look = {"color": f"C{place_of_arm}", "linestyle": dash, "label": _NAMES[arm] if not place else None}
            steps = [one["step"] for one in points]
            for panel, measure in ((error, "ece"), (ranked, "auroc")):
                panel.plot(steps, [one["all"][measure] for one in points], marker=marker, **look)
            last = points[-1]["all"]
            reliable.plot([one[0] for one in last["bins"]], [one[1] for one in last["bins"]], marker=marker, **look)
            risk.plot([one[0] for one in last["risks"]], [one[1] for one in last["risks"]], **look)
    error.set(title="calibration error (ECE)", xlabel="step", ylim=(0, None))
    ranked.axhline(0.5, color=ink(), linewidth=1, linestyle=":")
    ranked.set(title="AUROC of the confidence", xlabel="step")
    reliable.plot([0, 1], [0, 1], color=ink(), linewidth=1, linestyle=":")
    reliable.set(title="at the end: how often right", xlabel="stated confidence", xlim=(0, 1), ylim=(0, 1))
    risk.set(title="at the end: share wrong", xlabel="share answered, surest first", xlim=(0, 1), ylim=(0, 1))
    error.legend()
    return figure
