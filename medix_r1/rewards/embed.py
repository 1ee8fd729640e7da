"""Signal `embed`: cosine similarity of answer and reference in a sentence-embedding space."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Literal

from medix_r1.errors import ConfigError, Problem
from medix_r1.models.embedder import Embedder
from medix_r1.rewards.base import Sample, Score, byte_limit_problems, rule_score
from medix_r1.schema.kinds import Kind
from medix_r1.wording.alternatives import alternatives
from medix_r1.wording.spelling import normalize_answer


class EmbeddingReward:
    """Cosine of answer and reference, as a threshold (the paper's rule) or graded above a floor.

    Args:
        embedder: computes the cosine; its `EmbedderError`s are not caught here.
        mode: `threshold` gives 1 for a cosine of at least `threshold`, else 0; `graded` rises linearly from 0 at
            `floor` to 1 at cosine 1.
        threshold: in (0, 1). The paper's 0.8 is for its embedder; another model needs its own.
        floor: in [0, 1): the cosine up to which `graded` gives 0.
        max_bytes, refuse_echo: answers that score 0 without a call, as in `rule_score`.
        refuse_alternatives: score answers that offer alternatives 0, because they are close to each of them.
        veto: name of another signal, such as `llm`: where it says NO (below 0.5), this one is 0. The composite does it.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        mode: Literal["threshold", "graded"] = "threshold",
        threshold: float = 0.8,
        floor: float = 0.5,
        max_bytes: Annotated[int | None, Kind(min=1)] = 3000,
        refuse_echo: bool = True,
        refuse_alternatives: bool = True,
        veto: str | None = None,
    ) -> None:
        problems = byte_limit_problems("reward.signals.embed.max_bytes", max_bytes)
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
        self.refuse_alternatives, self.veto = refuse_alternatives, veto

    def score(self, sample: Sample) -> Score | Awaitable[Score]:
        if (by_rule := self.rule_score(sample)) is not None:
            return by_rule
        return self._compare(*self.texts(sample))

    def texts(self, sample: Sample) -> tuple[str, str]:
        """Answer and reference as the embedder gets them."""
        return normalize_answer(sample.completion.answer or ""), normalize_answer(sample.reference.answer)

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no embedder; None when the embedder has to be called."""
        by_rule = rule_score(sample, max_bytes=self.max_bytes, refuse_echo=self.refuse_echo)
        if by_rule is not None or not self.refuse_alternatives:
            return by_rule
        offered = alternatives(sample.completion.answer or "", sample.reference.answer)
        if not offered:
            return None
        return Score(0.0, f"offers alternatives: {', '.join(map(repr, offered))}")

    async def _compare(self, given: str, wanted: str) -> Score:
        cosine = await self.embedder.similarity(given, wanted)
        if self.mode == "threshold":
            return Score(float(cosine >= self.threshold), f"cosine {cosine:.3f}")
        graded = (cosine - self.floor) / (1.0 - self.floor)
        return Score(min(1.0, max(0.0, graded)), f"cosine {cosine:.3f}")

    def statistics(self) -> dict[str, float]:
        """The embedder's statistics: name → count, or seconds for `latency_*`."""
        return self.embedder.statistics()
