"""Two reward functions as they are written for other trainers, unchanged: one for EasyR1, one for TRL."""

from __future__ import annotations

import re
from typing import Any


def compute_score(reward_inputs: list[dict[str, Any]], longest: int = 400) -> list[dict[str, float]]:
    """EasyR1: a list of dicts in, a list of dicts out; `overall` is the score."""
    scores = []
    for row in reward_inputs:
        thought = re.search(r"<think(?:ing)?>(.{0,4000}?)</think", row["response"], re.DOTALL)
        length = len(thought[1]) if thought else 0
        scores.append({"overall": float(0 < length <= longest), "characters": float(length)})
    return scores


def names_the_modality(completions: list[str], ground_truth: list[str], **_: Any) -> list[float | None]:
    """TRL: columns in, a list of numbers out; None where there is no modality to name."""
    tags = [re.match(r"<\w+>", reference) for reference in ground_truth]
    return [
        None if tag is None else float(completion.startswith(tag[0]))
        for completion, tag in zip(completions, tags, strict=True)
    ]
