"""When two questions read the same: case, spacing, punctuation and image marks do not count; digits and signs do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from medix_r1.grammar import normalize_answer

_MARK = re.compile(r"<image>", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[\s.,;:!?\"'`´‘’“”()\[\]{}]+")


def normalise_question(text: str) -> str:
    """Bring two spellings of one question to the same string."""
    return _PUNCTUATION.sub(" ", normalize_answer(_MARK.sub(" ", text))).strip()


def question_key(question: str, choices: Sequence[str] = ()) -> bytes:
    """16 bytes that are equal for questions that read the same with the same set of choices."""
    parts = [normalise_question(question), *sorted(normalise_question(choice) for choice in choices)]
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
