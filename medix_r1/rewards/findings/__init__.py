"""Signal `findings`: reports compared finding by finding; imports models/, rewards/monitors/ and wording/."""

from medix_r1.rewards.findings.reward import FindingsReward

__all__ = ["FindingsReward"]
