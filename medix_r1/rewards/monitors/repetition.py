"""Monitor `repetition`: distinct n-grams of the reply divided by all of them; 1 means no repetition."""

from __future__ import annotations

import re
from collections import Counter

from medix_r1.errors import ConfigError
from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.rewards.base import Sample, Score

_WORD = re.compile(r"\w{1,20}")  # longer words are split, so that text without spaces has n-grams too


class RepetitionMonitor:
    """Distinct phrases (n-grams of words) / phrases, over the whole reply. Not applicable to fewer than 2 phrases.

    Args:
        words: words of a phrase, at least 1.

    Raises:
        ConfigError: `words` is below 1.
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
