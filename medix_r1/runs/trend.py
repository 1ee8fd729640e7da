"""Formats a training step as one line: reward, parts with trend arrows, lost samples, judge latency, seconds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

PARTS = ("llm", "embed", "rubric", "format", "modality", "exact")
WINDOW = 5  # the last steps, compared with as many before them
_STEADY = 0.02  # smaller differences of the means get no arrow
Metrics = Mapping[str, float]


def step_line(history: Sequence[Metrics]) -> str:
    """Format the newest step of a history (oldest first)."""
    now = history[-1]
    values = {"reward": "reward/overall/mean", **{name: f"reward/{name}/mean" for name in PARTS}}
    words = [f"{name} {now[key]:.3f}{arrow(history, key)}" for name, key in values.items() if key in now]
    if masked := now.get("reward/masked_share", 0.0):
        words.append(f"masked {masked:.0%}")
    if failed := now.get("sampler/failed_groups", 0.0):
        words.append(f"groups with lost rollouts {failed:.0f}")
    if "reward/llm/latency_p95" in now:
        words.append(f"judge {now['reward/llm/latency_p95'] * 1000:.0f} ms")
    words.append(f"{now.get('timing_s/step', 0.0):.1f} s")
    return "  ".join(words)


def arrow(history: Sequence[Metrics], key: str) -> str:
    """`↑`, `↓` or nothing: the mean of the last `WINDOW` steps compared with that of the `WINDOW` steps before."""
    values = [step[key] for step in history if key in step]
    if len(values) < 2 * WINDOW:
        return ""
    change = statistics.fmean(values[-WINDOW:]) - statistics.fmean(values[-2 * WINDOW : -WINDOW])
    return "" if abs(change) < _STEADY else "↑" if change > 0 else "↓"
