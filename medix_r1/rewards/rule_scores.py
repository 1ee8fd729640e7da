"""Scores that rules alone decide, without a call to judge or embedder."""

from __future__ import annotations

import sys

from medix_r1.bounded_cache import bounded_cache
from medix_r1.errors import Problem
from medix_r1.prompts import neutralise
from medix_r1.rewards.base import Sample, Score
from medix_r1.wording.spelling import is_gradable, normalize_answer

_NOTHING = Score(0.0, "nothing to grade")
_EXACT = Score(1.0, "exact match")
_MAX_GROWTH = 72  # bytes of one character in a prompt: NFKC makes at most 18 characters of it, each of at most 4 bytes


def byte_limit_problems(key: str, max_bytes: int | None) -> list[Problem]:
    """A limit below 1, which no answer meets."""
    if max_bytes is None or max_bytes >= 1:
        return []
    return [Problem(key, "out-of-range", f"{max_bytes} must be at least 1; null is no limit")]


def rule_score(sample: Sample, *, max_bytes: int | None, refuse_echo: bool) -> Score | None:
    """Score an answer by rules: 1 for an exact match, 0 for an ungradable answer; None when a model has to decide.

    Args:
        sample: the rollout.
        max_bytes: longer answers score 0, in UTF-8 bytes as the prompt would hold them. A judge refuses texts that are
            too long, and masking them would let the policy avoid being wrong. None: no limit.
        refuse_echo: an answer that repeats the question scores 0.
    """
    answer = sample.completion.answer
    if answer is None:
        return _NOTHING
    return _rule_score(answer, sample.reference.answer, sample.question if refuse_echo else None, max_bytes)


@bounded_cache  # judge and embedder ask for the same sample
def _rule_score(answer: str, reference: str, question: str | None, max_bytes: int | None) -> Score | None:
    if not is_gradable(answer):
        return _NOTHING
    given = normalize_answer(answer)
    if given == normalize_answer(reference):
        return _EXACT
    if max_bytes is not None and _MAX_GROWTH * len(answer) > max_bytes and (size := _prompt_bytes(answer)) > max_bytes:
        return Score(0.0, f"too long for an answer: {size} bytes")
    if question is not None and given.rstrip("? ") == normalize_answer(question).rstrip("? "):
        return Score(0.0, "the question given back")
    return None


def _prompt_bytes(answer: str) -> int:
    """UTF-8 bytes of an answer in a prompt: an upper bound of its tokens for a byte-level tokenizer."""
    return len(neutralise(answer, max_chars=sys.maxsize).encode())
