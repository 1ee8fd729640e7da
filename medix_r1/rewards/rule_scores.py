"""Answers whose case is plain: right or wrong without asking a judge or an embedder."""

from __future__ import annotations

import sys

from medix_r1.bounded_cache import bounded_cache
from medix_r1.grammar import is_gradable, normalize_answer
from medix_r1.prompts import defuse
from medix_r1.rewards.base import Sample, Score

_NOTHING = Score(0.0, "nothing to grade")
_EXACT = Score(1.0, "exact match")
_MOST_BYTES = 72  # of one character: in a prompt it can become eighteen, of four bytes each


def settle(sample: Sample, *, max_bytes: int | None, refuse_echo: bool) -> Score | None:
    """Score an answer that needs nobody's opinion; None when somebody has to be asked.

    Args:
        sample: the rollout.
        max_bytes: an answer of which a prompt would hold more bytes than this (UTF-8) is none: what a judge cannot read
            would otherwise be masked, and a policy could choose that over being wrong. None: no limit.
        refuse_echo: the question given back is no answer, however close it lies to one.
    """
    answer = sample.completion.answer
    if answer is None:
        return _NOTHING
    return _settle(answer, sample.reference.answer, sample.question if refuse_echo else None, max_bytes)


@bounded_cache  # judge and embedder both ask
def _settle(answer: str, reference: str, question: str | None, max_bytes: int | None) -> Score | None:
    if not is_gradable(answer):
        return _NOTHING
    given = normalize_answer(answer)
    if given == normalize_answer(reference):
        return _EXACT
    if max_bytes is not None and _MOST_BYTES * len(answer) > max_bytes and (size := _size(answer)) > max_bytes:
        return Score(0.0, f"too long for an answer: {size} bytes")
    if question is not None and given.rstrip("? ") == normalize_answer(question).rstrip("? "):
        return Score(0.0, "the question given back")
    return None


def _size(answer: str) -> int:
    """Bytes of an answer in a prompt: a judge's limit is in tokens, of which a byte-level tokenizer makes no more."""
    return len(defuse(answer, max_chars=sys.maxsize).encode())
