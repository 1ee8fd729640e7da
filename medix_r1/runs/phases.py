"""Splits the time of a step into phases, from the timings of verl and of the reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Phase → verl's name of its timing, in the order of a step.
PHASES = {
    "rollout": "gen",
    "reward tail": "reward_tail",
    "old log-probs": "old_log_prob",
    "reference log-probs": "ref",
    "advantage": "adv",
    "update": "update_actor",
    "sync to vLLM": "update_weights",
    "checkpoint": "save_checkpoint",
    "validation": "testing",
}


def phases(metrics: Mapping[str, float]) -> dict[str, float]:
    """Seconds of one step by phase; they add up to the step and its validation, with the remainder as `rest`.

    The reward tail, from the last finished reply to the last finished reward, is a part of verl's `gen`.
    """
    seconds = {name: metrics.get(f"timing_s/{key}", 0.0) for name, key in PHASES.items()}
    seconds["rollout"] = max(0.0, seconds["rollout"] - seconds["reward tail"])
    inside = sum(value for name, value in seconds.items() if name != "validation")
    seconds["rest"] = max(0.0, metrics.get("timing_s/step", inside) - inside)
    return seconds


def time_shares(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Share of each phase in the time of all steps, largest first."""
    total: dict[str, float] = {}
    for metrics in steps:
        for name, seconds in phases(metrics).items():
            total[name] = total.get(name, 0.0) + seconds
    whole = sum(total.values())
    shares = {name: seconds / whole for name, seconds in total.items() if seconds} if whole else {}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
