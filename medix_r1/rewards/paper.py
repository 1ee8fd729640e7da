"""Signals of `reward=paper`: judge, embedding and modality by the rules of the paper's public reward function.

The rules are facts of that code (arXiv 2602.23363, its public repository): case-sensitive exact matches score 1, and
answers that are empty, of one character, or hold `__`, `:` or `?` score 0, both without a call. Two of its accidents
are not repeated: a failed call masks the sample and never scores 0, and YES counts as the first word only.
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
    """What the public code decides without a model; None when it asks one."""
    answer = sample.completion.answer or ""
    if sample.reference.modality is None:
        return _NO_TAG
    if len(answer) <= 1:
        return _NO_ANSWER
    if refused := next((sign for sign in _REFUSED if sign in answer), None):
        return Score(0.0, f"holds '{refused}'")
    return _EXACT if answer == sample.reference.answer else None


class PublicJudge(JudgeReward):
    """The signal `llm` with the public code's rules for answers that no judge is asked about."""

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no judge."""
        return public_rule(sample)


class PublicEmbedding(EmbeddingReward):
    """The signal `embed` on the texts as they are written, with the public code's rules for the rest."""

    def texts(self, sample: Sample) -> tuple[str, str]:
        """Answer and reference as they are written."""
        return sample.completion.answer or "", sample.reference.answer

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no embedder."""
        return public_rule(sample)


class PublicModality:
    """1 where the text before the think element is the reference's tag, in any case; 0 everywhere else."""

    def score(self, sample: Sample) -> Score:
        wanted, given = sample.reference.modality, sample.completion.modality
        return Score(float(given is not None and given == wanted), f"said {given}, is {wanted}")
