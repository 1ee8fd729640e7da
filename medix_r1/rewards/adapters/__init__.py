"""Reward functions written for EasyR1, TRL, verl or OpenRLHF, as signals; imports what rewards/ does."""

from medix_r1.rewards.adapters.frameworks import EasyR1Reward, OpenRlhfReward, TrlReward, VerlReward

__all__ = ["EasyR1Reward", "OpenRlhfReward", "TrlReward", "VerlReward"]
