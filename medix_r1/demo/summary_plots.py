"""The plots of a demo run."""

from __future__ import annotations

from pathlib import Path

from medix_r1.demo.result import DECODINGS, SETS, Decoded
from medix_r1.demo.summary import DemoSummary
from medix_r1.reports import plots


def draw(report: DemoSummary, folder: Path) -> list[Path]:
    """Draw reward curves and before-and-after bars into a folder; return the files, each with a dark one beside it."""
    panels = [
        plots.Bars(
            f"{name}, {words}",
            _bars(report.before.sets[name].decoded[decoding]),
            _bars(report.after.sets[name].decoded[decoding]),
        )
        for name in SETS
        for decoding, words in DECODINGS.items()
    ]
    paths = [folder / "reward.png", folder / "before_after.png"]
    plots.reward_curves(paths[0], report.metrics)
    plots.before_after(paths[1], panels)
    return paths


def _bars(decoded: Decoded) -> dict[str, float | None]:
    means = {name: signal.mean for name, signal in decoded.signals.items()}
    return means | {"exact,\nshuffled": decoded.shuffled_exact}
