"""Advantage estimators that get the parts of the reward, ours and the user's; imports neither verl nor torch."""

from medix_r1.algorithms import gdpo as gdpo
from medix_r1.algorithms.estimators import RewardParts, estimator

__all__ = ["RewardParts", "estimator"]
