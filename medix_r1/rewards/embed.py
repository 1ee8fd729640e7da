"""Signal `embed`: closeness of answer and reference in a sentence-embedding space."""

from __future__ import annotations

from typing import Literal

from medix_r1.errors import ConfigError
from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.models.embedder import Embedder
from medix_r1.rewards.base import Sample, Score


class EmbeddingReward:
    """Cosine of answer and reference, as a threshold (the paper) or graded above a floor.

    Args:
        embedder: gives the cosine; its failures pass through as `EmbedderError`.
        mode: `threshold` gives 1 from `threshold` on, else 0; `graded` rises linearly from 0 at `floor` to 1 at
            cosine 1.
        threshold: in (0, 1). The paper's 0.8 belongs to its embedder; another model needs its own.
        floor: in [0, 1): the cosine up to which `graded` gives 0.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        mode: Literal["threshold", "graded"] = "threshold",
        threshold: float = 0.8,
        floor: float = 0.5,
    ) -> None:
        problems = []
        if not 0.0 < threshold < 1.0:
            problems.append(f"reward.signals.embed.threshold: {threshold} is not between 0 and 1")
        if not 0.0 <= floor < 1.0:
            problems.append(f"reward.signals.embed.floor: {floor} is not at least 0 and below 1")
        if mode not in ("threshold", "graded"):
            problems.append(f"reward.signals.embed.mode: '{mode}' is neither threshold nor graded")
        if problems:
            raise ConfigError(problems)
        self.embedder, self.mode, self.threshold, self.floor = embedder, mode, threshold, floor

    async def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if answer is None or not is_gradable(answer):
            return Score(0.0, "nothing to grade")
        given, wanted = normalize_answer(answer), normalize_answer(sample.reference.answer)
        if given == wanted:
            return Score(1.0, "exact match")
        cosine = await self.embedder.similarity(given, wanted)
        if self.mode == "threshold":
            return Score(float(cosine >= self.threshold), f"cosine {cosine:.3f}")
        graded = (cosine - self.floor) / (1.0 - self.floor)
        return Score(min(1.0, max(0.0, graded)), f"cosine {cosine:.3f}")

    def statistics(self) -> dict[str, float]:
        """Counts and times of the embedder, by name."""
        return self.embedder.statistics()
