"""Monitor `repetition`: the share of the reply's phrases that are not said twice; 1 is no repetition."""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.bounded_cache import bounded_cache
from medix_r1.errors import ConfigError
from medix_r1.rewards.base import Sample, Score

_WORD = re.compile(r"\w{1,20}")  # longer ones come in pieces, so that text without spaces is looked at too


class RepetitionMonitor:
    """Distinct phrases divided by phrases, over the whole reply.

    Args:
        words: length of a phrase.
    """

    def __init__(self, *, words: int = 4) -> None:
        if words < 1:
            raise ConfigError.of("reward.signals.repetition.words", "out-of-range", f"{words} must be at least 1")
        self.words = words

    def score(self, sample: Sample) -> Score:
        return _look(sample.completion.text, self.words)


@bounded_cache
def _look(text: str, length: int) -> Score:
    words = _WORD.findall(text.casefold())
    phrases = list(zip(*(words[start:] for start in range(length)), strict=False))
    if len(phrases) < 2:
        return Score(None, "too short to repeat anything")
    distinct = len(set(phrases))
    reason = f"{distinct} of {len(phrases)} phrases are distinct"
    if distinct < len(phrases):
        phrase, times = Counter(phrases).most_common(1)[0]
        reason += f"; '{' '.join(phrase)}' stands {times} times"
    return Score(distinct / len(phrases), reason)
