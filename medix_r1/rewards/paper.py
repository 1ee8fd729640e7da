"""Signals of `reward=paper`: judge, embedding and modality by the rules of the paper's public reward function.

The rules are those of that code (arXiv 2602.23363, its public repository). Without a call, case-sensitive exact matches
score 1; answers that are empty, have one character, or contain `__`, `:` or `?` score 0. Two of its defects are left
out: a failed call masks the sample and never scores 0, and YES counts only as the first word.
"""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score
from medix_r1.rewards.embed import EmbeddingReward
from medix_r1.rewards.llm import JudgeReward

_REFUSED = ("__", ":", "?")
_EXACT = Score(1.0, "exact match")
_NO_ANSWER = Score(0.0, "empty or of one character")
_NO_TAG = Score(0.0, "the reference has no tag, which the public code scores 0")


def public_rule(sample: Sample) -> Score | None:
    """The score of a sample that the public code decides without a model; None when it asks one."""
    answer = sample.completion.answer or ""
    if sample.reference.modality is None:
        return _NO_TAG
    if len(answer) <= 1:
        return _NO_ANSWER
    if refused := next((sign for sign in _REFUSED if sign in answer), None):
        return Score(0.0, f"holds '{refused}'")
    return _EXACT if answer == sample.reference.answer else None


class PublicJudge(JudgeReward):
    """The signal `llm`, with the public code's rules for answers that need no judge."""

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no judge."""
        return public_rule(sample)


class PublicEmbedding(EmbeddingReward):
    """The signal `embed` without normalisation, with the public code's rules for answers that need no embedder."""

    def texts(self, sample: Sample) -> tuple[str, str]:
        """Answer and reference, not normalised."""
        return sample.completion.answer or "", sample.reference.answer

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no embedder."""
        return public_rule(sample)


class PublicModality:
    """1 if the text before the think element is the reference's tag, in upper or lower case; else 0. Always applies."""

    def score(self, sample: Sample) -> Score:
        wanted, given = sample.reference.modality, sample.completion.modality
        return Score(float(given is not None and given == wanted), f"said {given}, is {wanted}")
