"""One training step on one line: reward, parts with the direction they move in, what is masked, the judge, seconds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

PARTS = ("llm", "embed", "format", "modality", "exact")
WINDOW = 5  # steps that are compared with as many before them
_STEADY = 0.02  # a smaller difference of means is no trend
Metrics = Mapping[str, float]


def step_line(history: Sequence[Metrics]) -> str:
    """The newest step of a history (oldest first); an arrow says where its last steps went from those before."""
    now = history[-1]
    values = {"reward": "reward/overall/mean", **{name: f"reward/{name}/mean" for name in PARTS}}
    words = [f"{name} {now[key]:.3f}{arrow(history, key)}" for name, key in values.items() if key in now]
    if masked := now.get("reward/masked_share", 0.0):
        words.append(f"masked {masked:.0%}")
    if "reward/llm/latency_p95" in now:
        words.append(f"judge {now['reward/llm/latency_p95'] * 1000:.0f} ms")
    words.append(f"{now.get('timing_s/step', 0.0):.1f} s")
    return "  ".join(words)


def arrow(history: Sequence[Metrics], key: str) -> str:
    """`↑`, `↓` or nothing: the mean of the last steps against that of as many before them."""
    values = [step[key] for step in history if key in step]
    if len(values) < 2 * WINDOW:
        return ""
    change = statistics.fmean(values[-WINDOW:]) - statistics.fmean(values[-2 * WINDOW : -WINDOW])
    return "" if abs(change) < _STEADY else "↑" if change > 0 else "↓"
