"""Checks switches that say one thing twice, seeds, `run.looking`, and the group filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig

from medix_r1.errors import Problem

_ENABLE = "algorithm.filter_groups.enable"
_METRIC = "algorithm.filter_groups.metric"
_FILTER = "trainer.v1.sampler.sampler_kwargs.filter"
_RULES = [
    "ExactMatch",
    "FormatReward",
    "ModalityReward",
    "PublicModality",
    "LateralityMonitor",
    "NegationMonitor",
]  # give 0 or 1


def seeding_problems(config: DictConfig) -> Iterator[Problem]:
    """verl's switch that gives a group one seed, and seeds that end vLLM's engine on a CPU."""
    rollout = config.actor_rollout_ref.rollout
    if rollout.get("full_determinism"):
        says = (
            "true gives all rollouts of a group one seed, hence one reply and no advantage; leave it false. "
            "rollout.seeding=rollout gives each rollout a seed of its own"
        )
        yield Problem("actor_rollout_ref.rollout.full_determinism", "one-seed-for-a-group", says)
    if config.trainer.device == "cpu" and config.rollout.seeding == "rollout" and rollout.enable_chunked_prefill:
        says = (
            "true ends vLLM's engine on a CPU, whose generators cannot be rewound, when a prompt with a seed is taken "
            "in parts; set it to false, or rollout.seeding=none"
        )
        yield Problem("actor_rollout_ref.rollout.enable_chunked_prefill", "seeds-and-chunks", says)


def looking_problems(config: DictConfig) -> Iterator[Problem]:
    """Rows that would be asked again with no pictures, at no validation or by a trainer of verl's own; and its loss."""
    if config.looking_loss.coefficient and not str(config.trainer.v1.trainer_mode).startswith("medix_"):
        says = f"trainer.v1.trainer_mode={config.trainer.v1.trainer_mode} is verl's own, which adds no such term; use 0"
        yield Problem("looking_loss.coefficient", "no-effect", says)
    looking, trainer, key = config.run.looking, config.trainer, "run.looking.share"
    if not looking.share:
        return
    if not looking.kinds:
        yield Problem(
            "run.looking.kinds", "no-value", f"none, but {key}={looking.share:g}; name shuffled, blank or both"
        )
    for kind in sorted({kind for kind in looking.kinds if list(looking.kinds).count(kind) > 1}):
        yield Problem("run.looking.kinds", "given-twice", f"{kind} stands there twice; give it once")
    if trainer.test_freq <= 0 and not trainer.val_before_train:
        says = "the run validates never, so no row is asked again; set trainer.test_freq, or 0"
        yield Problem(key, "no-effect", says)
    if not str(trainer.v1.trainer_mode).startswith("medix_"):
        says = f"trainer.v1.trainer_mode={trainer.v1.trainer_mode} is verl's own, which asks no row again; use 0"
        yield Problem(key, "no-effect", says)


def filter_problems(config: DictConfig) -> Iterator[Problem]:
    """verl's switch against our sampler's filter, a signal that is not there, and bounds that drop nothing or all."""
    verls, ours = config.algorithm.filter_groups, config.trainer.v1.sampler.sampler_kwargs.filter
    signal = ours.signal
    if verls.enable and signal is None:
        says = f"true, but {_FILTER}.signal is null, so no group would be left out; use algorithm=dapo, or false"
        yield Problem(_ENABLE, "switches-disagree", says)
        return
    if signal is None:
        yield from _unused_bounds(ours)
        return
    if not verls.enable:
        says = f"false, but {_FILTER}.signal={signal} leaves groups out; set both, or {_METRIC}=null too"
        yield Problem(_ENABLE, "switches-disagree", says)
    elif verls.metric != signal:
        says = f"{verls.metric} is not {_FILTER}.signal={signal}, which decides; set only {_METRIC}"
        yield Problem(_METRIC, "switches-disagree", says)
    signals = {name: node for name, node in config.reward.signals.items() if node is not None}
    if signal not in signals:
        yield Problem(_METRIC, "no-such-signal", f"the reward has no signal '{signal}'; known: {', '.join(signals)}")
        return
    low, high = ours.low, ours.high
    if low is None and high is None and not is_binary(signals[signal]):
        says = (
            f"null, and {signal} is graded: its values are hardly ever equal, so no group would be left out; give "
            f"{_FILTER}.low and .high, such as 0.01 and 0.99"
        )
        yield Problem(f"{_FILTER}.low", "filter-drops-nothing", says)
    elif (low is not None and low >= 1) or (high is not None and high <= 0) or _crossed(low, high):
        says = f"no mean lies strictly between low={low} and high={high}, so every group would be left out"
        yield Problem(f"{_FILTER}.low", "filter-drops-all", says)


def _crossed(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low >= high


def _unused_bounds(ours: DictConfig) -> Iterator[Problem]:
    for name in ("low", "high"):
        if ours[name] is not None:
            says = f"{ours[name]} has no effect without {_FILTER}.signal; use algorithm=dapo, or null"
            yield Problem(f"{_FILTER}.{name}", "no-effect", says)


def is_binary(signal: Mapping[str, Any]) -> bool:
    """Whether a signal gives 0 or 1 alone, so that groups of equal values are common."""
    target, judge = str(signal.get("_target_")).rpartition(".")[2], signal.get("judge")
    if target in ("JudgeReward", "PublicJudge"):
        return judge is None or judge.get("mode", "binary") == "binary"
    if target in ("EmbeddingReward", "PublicEmbedding"):
        return signal.get("mode", "threshold") == "threshold"
    return target in _RULES
