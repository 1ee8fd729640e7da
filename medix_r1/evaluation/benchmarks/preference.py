"""A judge's own test: which of two answers do people prefer? Rows, the question about them, and how a reply is scored.

As Med-RewardBench does it (meidandz/Med-RewardBench, vlm/00_benchmark_full_pipeline.py): six choices between A and B in
one JSON object. The words of the question are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from medix_r1 import prompts
from medix_r1.errors import DataError
from medix_r1.models.reading.json_objects import objects_in
from medix_r1.models.reading.reply_text import strip_thinking

RESPECTS = ("accuracy", "relevance", "comprehensiveness", "creativity", "responsiveness", "overall")
_MAX_CHARS = 16_000  # of one inserted text


def preference_question(question: str, first: str, second: str) -> str:
    """What the judge under test is asked; every inserted text is neutralised."""
    template = prompts.load("preference")
    return prompts.fill(template, max_chars=_MAX_CHARS, question=question, first=first, second=second)


def preferred(value: Any) -> str:
    """People's choices as JSON text, from a mapping or its text.

    Raises:
        DataError: one of the six is missing, or neither A nor B.
    """
    try:
        told = json.loads(value) if isinstance(value, str) else value
        found = {name: str(told[name]).strip().upper() for name in RESPECTS}
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"the choices are no object of {', '.join(RESPECTS)}", code="not-choices") from error
    if wrong := sorted(name for name, choice in found.items() if choice not in ("A", "B")):
        raise DataError(f"the choices of {', '.join(wrong)} are neither A nor B", code="not-choices")
    return json.dumps(found)


def agreement_with_people(reply: str, reference: str) -> float:
    """Share of the six choices that are people's; a choice that cannot be read beyond doubt is none."""
    wanted: Mapping[str, str] = json.loads(reference)
    chosen = _choices(reply)
    return sum(chosen.get(name) == choice for name, choice in wanted.items()) / len(wanted)


def _choices(reply: str) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for _, _, pairs in objects_in(strip_thinking(reply)):
        for key, value in pairs:
            name = key.strip().lower()
            if name in RESPECTS:
                found.setdefault(name, set()).add(str(value).strip().upper())
    return {name: values.pop() for name, values in found.items() if len(values) == 1}
