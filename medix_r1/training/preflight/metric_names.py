"""Checks names of metrics: the one that chooses the best checkpoint, and those that alarms watch."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.runs.scored_rollout import OVERALL

# First words of the metrics that a step or a validation writes: ours, then verl's.
_FIRST = (
    *("reward", "heldout", "selection", "sampler", "looking", "judge", "curriculum"),
    *("actor", "critic", "training", "rollout_corr", "response", "response_length", "response_length_non_aborted"),
    *("prompt_length", "global_seqlen", "num_turns", "perf", "timing_s", "timing_per_token_ms", "val-core", "val-aux"),
)
_OF_A_SIGNAL = ("mean", "std", "interval", "masked_share", "zero_variance_groups")
_BEST = "run.best_metric"


def metric_problems(config: DictConfig) -> Iterator[Problem]:
    """A metric that no step and no validation writes, so that no checkpoint is the best and no alarm rings."""
    signals = [str(name) for name, node in config.reward.signals.items() if node is not None]
    if (best := config.run.best_metric) is not None:
        yield from _problems(best, _BEST, [*signals, OVERALL], bool(config.run.plugins))
        yield from _best_problems(best)
    watched = [*signals, OVERALL, *_SHIPPED]
    for name, node in config.alarms.items():
        for key in ("metric", "minus", "train", "heldout"):
            if isinstance(node, DictConfig) and isinstance(metric := node.get(key), str):
                yield from _problems(metric, f"alarms.{name}.{key}", watched, bool(config.run.plugins))


# Signals that the alarms of configs/alarms watch in every run; where a reward lacks one, its alarm never rings.
_SHIPPED = ("format", "llm", "embed", "repetition", "exact", "calibration")


def _problems(metric: str, key: str, signals: list[str], has_plugins: bool) -> Iterator[Problem]:
    first, *rest = metric.split("/")
    if first not in _FIRST and not has_plugins:
        near = difflib.get_close_matches(first, _FIRST, n=1, cutoff=0.6)
        says = f"did you mean {'/'.join([*near, *rest])}?" if near else f"their names begin with {', '.join(_FIRST)}"
        yield Problem(key, "no-such-metric", f"no step and no validation writes {metric}; {says}")
        return
    if first not in ("reward", "selection") or len(rest) != 2 or rest[1] not in _OF_A_SIGNAL:
        return
    if not any(rest[0].startswith(signal) for signal in signals):  # a signal may have parts of its own
        near = difflib.get_close_matches(rest[0], signals, n=1, cutoff=0.5)
        says = f"did you mean {first}/{near[0]}/{rest[1]}?" if near else f"its signals: {', '.join(signals)}"
        yield Problem(key, "no-such-metric", f"{metric}: the reward has no signal '{rest[0]}'; {says}")


def _best_problems(best: str) -> Iterator[Problem]:
    first, *rest = best.split("/")
    if first == "selection" and len(rest) == 2 and rest[1] in _OF_A_SIGNAL and rest[1] != "mean":
        says = f"{best} is not written: of selection/ only the means are; use selection/{rest[0]}/mean"
        yield Problem(_BEST, "no-such-metric", says)
