"""Reference rationales: the steps by which an expert comes to an answer, and steps for rows that have none.

As MedThink-Bench's LLM-w-Ref grades reasoning (arXiv 2507.07988): a judge says of each step of the rationale whether
the reasoning supports it, and the grade is the share of the steps that it does. The prompt's text is ours, and is one
for training and evaluation: `reasoning.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from medix_r1.errors import DataError
from medix_r1.models.rubric import Criterion
from medix_r1.wording.spelling import is_gradable

PROMPT = "reasoning"
GENERAL = (
    "The reasoning uses what the question gives, and the image as far as it describes one.",
    "Each step of the reasoning is medically sound.",
    "The reasoning is specific to this question and leads to its conclusion.",
)
_NUMBER = re.compile(r"^\s*(?:(?:step\s*)?\d{1,2}\s*[.):]|[-*•])\s+", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")


def steps_of(value: Any) -> tuple[str, ...]:
    """The steps of a rationale: the entries of a list, or of a text its lines, or the sentences of a single line.

    Raises:
        DataError: it is neither a text nor a list of texts.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        lines = [line for line in value.splitlines() if line.strip()]
        found: Sequence[Any] = lines if len(lines) > 1 else _SENTENCE.split(value)
    else:
        found = value
    if not isinstance(found, Sequence) or not all(isinstance(step, str) for step in found):
        raise DataError("the rationale is neither a text nor a list of texts", code="not-a-rationale")
    steps = (_NUMBER.sub("", step).strip() for step in found)
    return tuple(dict.fromkeys(step for step in steps if is_gradable(step)))


def step_criteria(steps: Sequence[str]) -> tuple[Criterion, ...]:
    """Steps as criteria of one point each."""
    return tuple(Criterion(step, 1.0) for step in steps)
