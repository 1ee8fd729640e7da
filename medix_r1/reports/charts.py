"""The charts of a run's report: metrics grouped into charts, as traces for plotly.js.

Lines differ by marker and dash as well as by colour. The metrics are those logged to TensorBoard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from medix_r1.runs.phases import PHASES, phases

Steps = Mapping[int, Mapping[str, float]]
Chart = dict[str, Any]

CALIBRATION = {
    "brier": "Brier score of the confidence (lower is better)",
    "ece": "calibration error (ECE, lower is better)",
    "auroc": "AUROC of the confidence (0.5 knows nothing)",
    "aurc": "area under the risk-coverage curve (lower is better)",
    "at_coverage": "share right among the surest 80 %",
}
PARTS = ("overall", "llm", "embed", "format", "modality", "exact")
_STYLES = (("solid", "circle"), ("dash", "square"), ("dot", "diamond"), ("dashdot", "x"), ("longdash", "cross"))
_GROUPS: dict[str, dict[str, str]] = {
    "reply length (tokens)": {"mean": "response_length/mean", "longest": "response_length/max"},
    "entropy of the policy": {"entropy": "actor/entropy"},
    "KL": {
        "to the reference": "actor/kl_loss",
        "old to new policy": "actor/ppo_kl",
        "rollout to actor": "rollout_corr/kl",
    },
    "clipped share of tokens": {"clipped": "actor/pg_clipfrac", "below (dual clip)": "actor/pg_clipfrac_lower"},
    "gradient norm": {"norm": "actor/grad_norm"},
    "samples that do not train": {
        "masked": "reward/masked_share",
        "cut at the limit": "reward/cut_share",
        "left out of the update": "reward/dropped_share",
        "groups with lost rollouts": "sampler/failed_share",
        "groups filtered out": "sampler/filtered_share",
        "groups of equal reward": "reward/overall/zero_variance_groups",
    },
    "judge: seconds a call": {"median": "reward/llm/latency_p50", "95 %": "reward/llm/latency_p95"},
    "judge: calls a step": {
        "calls": "reward/llm/calls",
        "answered from memory": "reward/llm/cache_hits",
        "failed": "reward/llm/failures",
    },
    "judge: cost a step": {"cost": "reward/llm/cost"},
    "rollout and actor disagree by (probability)": {
        "mean": "training/rollout_probs_diff_mean",
        "largest": "training/rollout_probs_diff_max",
    },
}


def all_charts(steps: Steps, weighted: Iterable[str] = ()) -> list[Chart]:
    """Every chart for which the run has metrics.

    Args:
        steps: metrics by step.
        weighted: parts that the run's reward weighs; those that every run has are drawn in any case.
    """
    charts = [_part(steps, part) for part in dict.fromkeys((*PARTS, *weighted))]
    charts += [_chart(title, _lines(steps, _by_set(steps, "calibration", name))) for name, title in CALIBRATION.items()]
    charts += [_chart(title, _lines(steps, metrics)) for title, metrics in _GROUPS.items()]
    charts.append(_chart("seconds a step, by phase", _phases(steps), barmode="stack"))
    return [chart for chart in charts if chart["traces"]]


def split_empty(charts: Iterable[Chart]) -> tuple[list[Chart], list[str]]:
    """The charts without lines that are 0 at every step, and the names of what is left out so."""
    kept, empty = [], []
    for chart in charts:
        traces = [trace for trace in chart["traces"] if any(trace["y"])]
        empty += [f"{chart['title']}: {one['name']}" for one in chart["traces"] if not any(one["y"])]
        if traces:
            is_alone = (
                len(traces) == 1 < len(chart["traces"])
            )  # one line has no legend, so its name stands in the title
            title = f"{chart['title']}: {traces[0]['name']}" if is_alone else chart["title"]
            kept.append({**chart, "title": title, "traces": traces})
    return kept, empty


def _part(steps: Steps, part: str) -> Chart:
    """Chart of one part of the reward, in training and on every held-out set."""
    names = _by_set(steps, part, "mean")
    title = {"overall": "reward", "llm": "llm (judge)", "exact": "exact match (no reward)"}.get(part, part)
    return _chart(title, _lines(steps, names, band=True))


def _by_set(steps: Steps, part: str, measure: str) -> dict[str, str]:
    """A part's metric in training, and on each held-out set."""
    end = f"/{part}/{measure}"
    keys = sorted({key for metrics in steps.values() for key in metrics if key.endswith(end)})
    names = {"training": f"reward{end}"}
    return names | {f"held-out {key[len('heldout/') : -len(end)]}": key for key in keys if key.startswith("heldout/")}


def _chart(title: str, traces: Iterable[dict[str, Any]], **layout: Any) -> Chart:
    return {"title": title, "traces": list(traces), "layout": layout}


def _lines(steps: Steps, names: Mapping[str, str], *, band: bool = False) -> Iterable[dict[str, Any]]:
    for index, (name, key) in enumerate(names.items()):
        points = [(step, metrics[key]) for step, metrics in steps.items() if key in metrics]
        if not points:
            continue
        dash, symbol = _STYLES[index % len(_STYLES)]
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": [step for step, _ in points],
            "y": [value for _, value in points],
            "line": {"dash": dash},
            "marker": {"symbol": symbol},
        }
        widths = [steps[step].get(key.removesuffix("mean") + "interval") for step, _ in points]
        if band and any(width is not None for width in widths):
            trace["error_y"] = {"type": "data", "array": widths, "thickness": 1, "width": 2}
        yield trace


def _phases(steps: Steps) -> Iterable[dict[str, Any]]:
    trained = {step: phases(metrics) for step, metrics in steps.items() if "timing_s/step" in metrics}
    for name in (*PHASES, "rest"):
        if any(seconds.get(name) for seconds in trained.values()):
            values = [round(seconds.get(name, 0.0), 4) for seconds in trained.values()]
            yield {"type": "bar", "name": name, "x": list(trained), "y": values}
