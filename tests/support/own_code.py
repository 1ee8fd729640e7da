"""A user's code for real runs, in one file: a plug-in that notes where it is loaded, an estimator, and a monitor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from medix_r1.algorithms import RewardParts, estimator
from medix_r1.rewards.base import Sample, Score

FILE = "loaded.txt"  # in the run's folder: a line for each process, with its program and its FSDP rank

if "MEDIX_R1_RUN" in os.environ:
    with (Path(os.environ["MEDIX_R1_RUN"]) / FILE).open("a", encoding="utf-8") as noted:
        noted.write(f"{os.getpid()} {Path(sys.argv[0]).name} {os.environ.get('RANK')}\n")


@estimator("own_grpo", needs_parts=True)
def own_grpo(token_level_rewards: Any, response_mask: Any, index: np.ndarray, parts: RewardParts, **_: Any) -> Any:
    """GRPO, of totals that are summed here: equal to verl's as long as the parts come in the batch's order."""
    totals = sum(weight * parts.values[name] for name, weight in parts.weights.items())
    scores = token_level_rewards.new_tensor(totals)
    for group in set(index):
        rows = index == group
        scores[rows] = (scores[rows] - scores[rows].mean()) / (scores[rows].std() + 1e-6)
    advantages = scores.unsqueeze(-1) * response_mask
    return advantages, advantages


class Words:
    """A monitor: 1 for an answer of at most `most` words."""

    def __init__(self, *, most: int) -> None:
        self.most = most

    def score(self, sample: Sample) -> Score:
        count = len((sample.completion.answer or "").split())
        return Score(float(count <= self.most), f"{count} words")
