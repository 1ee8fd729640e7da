"""Draws the demonstration: calibration error and AUROC over the steps, reliability and risk-coverage at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medix_r1.evaluation.results.forest import save
from medix_r1.pages.style import COLOURS, DASHES, MARKERS, in_our_style

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""Arm → its runs, each with `seed` and the `points` of `measure.measured`."""
_NAMES = {"earned": "confidence rewarded", "plain": "not rewarded"}
_SET = "heldout_views"


@in_our_style
def draw(runs: Runs, path: Path) -> Path:
    """Four panels, a line for each run; runs of one arm share colour and dash."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7), layout="constrained")
    (error, ranked), (reliable, risk) = axes
    for arm, colour, dash, marker in zip(runs, COLOURS, DASHES, MARKERS, strict=False):
        for place, run in enumerate(runs[arm]):
            points = [one for one in run["points"] if one["set"] == _SET]
            look = {"color": colour, "linestyle": dash, "label": _NAMES[arm] if not place else None}
            steps = [one["step"] for one in points]
            for panel, measure in ((error, "ece"), (ranked, "auroc")):
                panel.plot(steps, [one["all"][measure] for one in points], marker=marker, **look)
            last = points[-1]["all"]
            reliable.plot([one[0] for one in last["bins"]], [one[1] for one in last["bins"]], marker=marker, **look)
            risk.plot([one[0] for one in last["risks"]], [one[1] for one in last["risks"]], **look)
    error.set(title="calibration error (ECE)", xlabel="step", ylim=(0, None))
    ranked.axhline(0.5, color="grey", linewidth=1, linestyle=":")
    ranked.set(title="AUROC of the confidence", xlabel="step")
    reliable.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    reliable.set(title="at the end: how often right", xlabel="stated confidence", xlim=(0, 1), ylim=(0, 1))
    risk.set(title="at the end: share wrong", xlabel="share answered, surest first", xlim=(0, 1), ylim=(0, 1))
    error.legend()
    return save(figure, path)
