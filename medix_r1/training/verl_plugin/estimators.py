"""Makes the estimators of medix_r1/algorithms, a user's own among them, known to verl."""

from __future__ import annotations

from verl.trainer.ppo.core_algos import register_adv_est

from medix_r1.algorithms.estimators import ESTIMATORS


def register() -> None:
    """Make every estimator known as `algorithm.adv_estimator=NAME`; safe to call again.

    Raises:
        ValueError: verl has another of this name.
    """
    for name, estimator in ESTIMATORS.items():
        register_adv_est(name)(estimator.function)
