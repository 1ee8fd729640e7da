"""Rollout correction: names and thresholds that verl would refuse in the first step, or never read; router replay."""

from __future__ import annotations

from collections.abc import Iterator

from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.training.preflight.model.model_shape import is_mixture_of_experts, values_of
from medix_r1.training.preflight.rows import batches

_KEY = "algorithm.rollout_correction"
_REPLAY = "actor_rollout_ref.rollout.enable_rollout_routing_replay"
# SUPPORTED_ROLLOUT_RS_OPTIONS of verl's rollout_corr_helper; the integration test of this file compares.
REJECTIONS = (
    *("token_k1", "token_k2", "token_k3", "seq_sum_k1", "seq_sum_k2", "seq_sum_k3"),
    *("seq_mean_k1", "seq_mean_k2", "seq_mean_k3", "seq_max_k2", "seq_max_k3"),
)


def correction_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of `algorithm.rollout_correction`, and of router replay."""
    rollout = config.actor_rollout_ref.rollout
    if rollout.get("enable_rollout_routing_replay"):
        yield from _replay(config)
    node = config.algorithm.get("rollout_correction")
    if node is None or (node.rollout_is is None and node.rollout_rs is None):
        return
    if not rollout.calculate_log_probs:
        says = "false leaves nothing to correct with; set it to true, or choose correction=none"
        yield Problem("actor_rollout_ref.rollout.calculate_log_probs", "nothing-to-correct-with", says)
    if node.bypass_mode:
        says = "true takes vLLM's probabilities for the actor's, so nothing is corrected; set it to false"
        yield Problem(f"{_KEY}.bypass_mode", "no-effect", says)
    if node.rollout_is is not None and not _is_range(str(node.rollout_is_threshold)):
        says = f"{node.rollout_is_threshold} is neither an upper bound, such as 2.0, nor a range, such as 0.5_5.0"
        yield Problem(f"{_KEY}.rollout_is_threshold", "not-a-threshold", says)
    if node.rollout_rs is not None:
        yield from _rejections(node)


def _replay(config: DictConfig) -> Iterator[Problem]:
    path, parallel = config.actor_rollout_ref.model.path, batches.sequence_parallel(config.actor_rollout_ref.actor)
    if values_of(path) and not is_mixture_of_experts(path):
        says = f"true has no effect: {path} is no mixture of experts, so there are no routes; set it to false"
        yield Problem(_REPLAY, "no-effect", says)
    if parallel > 1:
        says = f"true needs whole rows on a rank, and ulysses_sequence_parallel_size={parallel} splits them; use 1"
        yield Problem(_REPLAY, "routes-not-split", says)


def _rejections(node: DictConfig) -> Iterator[Problem]:
    options = [option.strip() for option in str(node.rollout_rs).split(",") if option.strip()]
    unknown = [option for option in options if option not in REJECTIONS]
    if unknown or not options:
        says = f"'{', '.join(unknown)}' is none of {', '.join(REJECTIONS)}"
        yield Problem(f"{_KEY}.rollout_rs", "not-a-choice", says)
        return
    key = f"{_KEY}.rollout_rs_threshold"
    if node.rollout_rs_threshold is None:
        yield Problem(key, "no-threshold", f"null, but {node.rollout_rs} needs one; for token_k1 verl uses 0.6_1.6")
        return
    bounds = [bound.strip() for bound in str(node.rollout_rs_threshold).split(",") if bound.strip()]
    if len(bounds) not in (1, len(options)):
        says = f"{len(bounds)} thresholds for {len(options)} rejections; give one for all, or one for each"
        yield Problem(key, "not-a-threshold", says)
        return
    for option, bound in zip(options, bounds * len(options) if len(bounds) == 1 else bounds, strict=True):
        if not (_is_range(bound, least=1.0) if option.endswith("k1") else _is_positive(bound)):
            wanted = "a range of ratios, such as 0.6_1.6" if option.endswith("k1") else "an upper bound, such as 0.01"
            yield Problem(key, "not-a-threshold", f"{bound} for {option} is not {wanted}")


def _is_range(text: str, *, least: float = 0.0) -> bool:
    """Whether verl reads it: an upper bound of at least `least`, or `lower_upper`."""
    lower, mark, upper = text.strip().partition("_")
    if not mark:  # of ratios, whose lower bound is then the inverse
        return _is_positive(lower) and float(lower) >= least
    return _is_positive(lower) and _is_positive(upper) and float(lower) <= float(upper)


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf") and "_" not in text
    except ValueError:
        return False
