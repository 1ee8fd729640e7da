"""Signal `embed`: closeness of answer and reference in a sentence-embedding space."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import normalize_answer
from medix_r1.models.embedder import Embedder
from medix_r1.rewards.alternatives import alternatives
from medix_r1.rewards.base import Sample, Score
from medix_r1.rewards.rule_scores import settle


class EmbeddingReward:
    """Cosine of answer and reference, as a threshold (the paper) or graded above a floor.

    Args:
        embedder: gives the cosine; its failures pass through as `EmbedderError`.
        mode: `threshold` gives 1 from `threshold` on, else 0; `graded` rises linearly from 0 at `floor` to 1 at
            cosine 1.
        threshold: in (0, 1). The paper's 0.8 belongs to its embedder; another model needs its own.
        floor: in [0, 1): the cosine up to which `graded` gives 0.
        max_bytes, refuse_echo: what is no answer at all (medix_r1/rewards/rule_scores.py).
        refuse_alternatives: an answer that offers several things lies close to each of them; it gets 0.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        mode: Literal["threshold", "graded"] = "threshold",
        threshold: float = 0.8,
        floor: float = 0.5,
        max_bytes: int | None = 3000,
        refuse_echo: bool = True,
        refuse_alternatives: bool = True,
    ) -> None:
        problems = []
        if not 0.0 < threshold < 1.0:
            problems.append(
                Problem("reward.signals.embed.threshold", "out-of-range", f"{threshold} is not between 0 and 1")
            )
        if not 0.0 <= floor < 1.0:
            problems.append(
                Problem("reward.signals.embed.floor", "out-of-range", f"{floor} is not at least 0 and below 1")
            )
        if mode not in ("threshold", "graded"):
            problems.append(
                Problem("reward.signals.embed.mode", "not-a-choice", f"'{mode}' is neither threshold nor graded")
            )
        if problems:
            raise ConfigError(problems)
        self.embedder, self.mode, self.threshold, self.floor = embedder, mode, threshold, floor
        self.max_bytes, self.refuse_echo = max_bytes, refuse_echo
        self.refuse_alternatives = refuse_alternatives

    def score(self, sample: Sample) -> Score | Awaitable[Score]:
        if (settled := self.settled(sample)) is not None:
            return settled
        answer, reference = sample.completion.answer or "", sample.reference.answer
        return self._compare(normalize_answer(answer), normalize_answer(reference))

    def settled(self, sample: Sample) -> Score | None:
        """What rules alone say; None when the embedder has to be asked."""
        settled = settle(sample, max_bytes=self.max_bytes, refuse_echo=self.refuse_echo)
        if settled is not None or not self.refuse_alternatives:
            return settled
        offered = alternatives(sample.completion.answer or "", sample.reference.answer)
        if not offered:
            return None
        return Score(0.0, f"offers alternatives: {', '.join(repr(sign) for sign in sorted(offered))}")

    async def _compare(self, given: str, wanted: str) -> Score:
        cosine = await self.embedder.similarity(given, wanted)
        if self.mode == "threshold":
            return Score(float(cosine >= self.threshold), f"cosine {cosine:.3f}")
        graded = (cosine - self.floor) / (1.0 - self.floor)
        return Score(min(1.0, max(0.0, graded)), f"cosine {cosine:.3f}")

    def statistics(self) -> dict[str, float]:
        """Counts and times of the embedder, by name."""
        return self.embedder.statistics()
