"""Normalises questions to compare them: ignores case, spacing, punctuation and image marks; keeps digits and signs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from medix_r1.wording.spelling import normalize_answer

_MARK = re.compile(r"<image>", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[\s.,;:!?\"'`´‘’“”()\[\]{}]+")


def normalise_question(text: str) -> str:
    """Normal form of a question: equal for spellings that differ only in what is ignored."""
    return _PUNCTUATION.sub(" ", normalize_answer(_MARK.sub(" ", text))).strip()


def question_key(question: str, choices: Sequence[str] = ()) -> bytes:
    """16-byte key of a normalised question and its set of choices."""
    parts = [normalise_question(question), *sorted(normalise_question(choice) for choice in choices)]
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
