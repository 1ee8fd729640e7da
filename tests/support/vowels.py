"""A reward that a random policy can learn from: the share of vowels among a reply's characters."""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score

VOWELS = frozenset("aeiouAEIOU")


class Vowels:
    """A signal for policies whose replies have no answer to grade."""

    def score(self, sample: Sample) -> Score:
        text = sample.completion.text
        count = sum(character in VOWELS for character in text)
        return Score(count / max(1, len(text)), f"{count} of {len(text)}")
