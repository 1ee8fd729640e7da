"""Signal `shortest_right`: 1 for the shortest right reply of a group, by a signal that says which ones are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.base import Sample, Score
from medix_r1.schema.kinds import Kind

_KEY = "reward.signals.shortest_right"
Measured = Literal["answer", "reply"]


class ShortestRight:
    """Of the right replies of a group, 1 for the shortest, falling to 0 at `slack` times its length; wrong ones get 0.

    Where no reply is right it does not apply, so that being brief and wrong earns nothing, and nobody loses by it.

    Args:
        needs: name of the signal that says which replies are right, such as `[llm]` or `[exact]`; exactly one.
        least: the value from which on it says so.
        measured: what is measured, in characters: the `answer` block, or the whole `reply`.
        slack: above 1; at this many times the shortest right one's length, nothing is left.
    """

    needs_group = True
    needs: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        needs: Sequence[str],
        least: Annotated[float, Kind(min=0, max=1)] = 0.5,
        measured: Measured = "answer",
        slack: float = 2.0,
    ) -> None:
        problems = []
        if isinstance(needs, str) or len(needs) != 1:
            says = f"{needs!r} has to be a list of one signal, such as [llm]"
            problems.append(Problem(f"{_KEY}.needs", "not-one-verdict", says))
        if not 0.0 < least <= 1.0:
            problems.append(Problem(f"{_KEY}.least", "out-of-range", f"{least} is not above 0 and at most 1"))
        if measured not in ("answer", "reply"):
            problems.append(Problem(f"{_KEY}.measured", "not-a-choice", f"'{measured}' is neither answer nor reply"))
        if not slack > 1.0:
            problems.append(Problem(f"{_KEY}.slack", "out-of-range", f"{slack} must be above 1"))
        if problems:
            raise ConfigError(problems)
        self.needs = tuple(needs)
        self._least, self._measured, self._slack = least, measured, slack

    def score_group(self, samples: Sequence[Sample], scores: Sequence[Mapping[str, Score]]) -> list[Score]:
        """Score a group of at least two."""
        (verdict,) = self.needs
        right = [(score[verdict].value or 0.0) >= self._least for score in scores]
        if not any(right):
            return [Score(None, f"{verdict} calls no reply of the group right")] * len(samples)
        lengths = [self._length(sample) for sample in samples]
        shortest = max(1, min(length for length, is_right in zip(lengths, right, strict=True) if is_right))
        return [
            Score(self._value(length / shortest), f"{length} characters, the shortest right one has {shortest}")
            if is_right
            else Score(0.0, f"{verdict} does not call it right")
            for length, is_right in zip(lengths, right, strict=True)
        ]

    def _value(self, ratio: float) -> float:
        return max(0.0, min(1.0, (self._slack - ratio) / (self._slack - 1.0)))

    def _length(self, sample: Sample) -> int:
        text = sample.completion.text if self._measured == "reply" else sample.completion.answer
        return len(text or "")
