"""`@estimator("name")` makes a function known as `algorithm.adv_estimator=name`; with `needs_parts` it gets the parts.

verl hands an estimator nothing but totals. One that needs the parts of the reward gets them as `parts`: our trainers
read them and hold them ready (`parts_of_batch`) while the advantages of a batch are computed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from medix_r1.errors import ConfigError, TrainingError

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RewardParts:
    """The parts of a batch's rewards.

    Attributes:
        values: name of the signal -> values in [0, 1], of shape (replies,), in the batch's order; NaN where the signal
            does not apply. Monitors, which have no weight, are among them.
        weights: name of the signal -> its weight (`reward.weights`), of those that have one.
    """

    values: Mapping[str, np.ndarray]
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Estimator:
    """A registered estimator.

    Attributes:
        function: with verl's interface, keywords only: `token_level_rewards` and `response_mask` of shape (replies,
            tokens), `index` (name of each reply's group) and `config` (the node `algorithm`) in, (advantages, returns)
            of shape (replies, tokens) out.
        needs_parts: whether the trainer has to hold the parts ready.
    """

    function: Callable[..., Any]
    needs_parts: bool


ESTIMATORS: dict[str, Estimator] = {}
_parts: ContextVar[RewardParts | None] = ContextVar("reward_parts", default=None)


def estimator(name: str, *, needs_parts: bool = False) -> Callable[[Function], Function]:
    """Make a function known as `algorithm.adv_estimator=name`.

    Args:
        name: one that neither verl nor another estimator has.
        needs_parts: call it with the further keyword `parts`, a `RewardParts`. Such a function weighs the parts itself,
            so a reward with a gate or weight tables is refused.

    Raises:
        ConfigError: another function has this name.
    """

    def register(function: Function) -> Function:
        if name in ESTIMATORS:
            raise ConfigError.of("algorithm.adv_estimator", "given-twice", f"two estimators are called {name}")
        ESTIMATORS[name] = Estimator(_with_parts(name, function) if needs_parts else function, needs_parts)
        return function

    return register


def needs_parts(name: str) -> bool:
    """Whether the estimator of this name gets the parts of the reward."""
    return name in ESTIMATORS and ESTIMATORS[name].needs_parts


def _with_parts(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(**given: Any) -> Any:
        parts = _parts.get()
        if parts is None:
            raise TrainingError(
                f"algorithm.adv_estimator={name} needs trainer=sync or colocate_async", code="not-our-trainer"
            )
        return function(**given, parts=parts)

    return call


@contextmanager
def parts_of_batch(parts: RewardParts) -> Iterator[None]:
    """Hold the parts ready for the estimator while the advantages of this batch are computed."""
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)
