"""Monitor `length`: 1 up to an allowed length that grows with the reference's, falling beyond it."""

from __future__ import annotations

from medix_r1.errors import ConfigError
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import normalize_answer

_NO_ANSWER = Score(None, "no answer")


class LengthMonitor:
    """min(1, allowed / length), in characters of the normalised answer. Not applicable without an answer.

    Args:
        factor: allowed characters for each character of the reference, above 0.
        characters: minimum of the allowed length, at least 1.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(self, *, factor: float = 4.0, characters: int = 80) -> None:
        if factor <= 0 or characters < 1:
            raise ConfigError.of(
                "reward.signals.length", "out-of-range", "factor must be above 0 and characters at least 1"
            )
        self.factor, self.characters = factor, characters

    def score(self, sample: Sample) -> Score:
        answer = sample.completion.answer
        if answer is None:
            return _NO_ANSWER
        return _compare(answer, sample.reference.answer, self.factor, self.characters)


@bounded_cache
def _compare(answer: str, reference: str, factor: float, characters: int) -> Score:
    given, allowed = len(normalize_answer(answer)), max(characters, factor * len(normalize_answer(reference)))
    return Score(min(1.0, allowed / max(1, given)), f"{given} characters, {allowed:.0f} allowed")
