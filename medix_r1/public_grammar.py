"""Lenient parser of replies, with the rules of the public MediX-R1 code; `reward=paper` uses it for comparison.

The rules are those of its reward function as observed (arXiv 2602.23363 does not state them). The format is checked
from the first think tag to the end; text before it and the blocks' contents do not matter. The modality tag is the
whole text before the think tag. The first answer block is graded, or the whole text if there is none. Two accidents of
that code are left out: it deletes white space round signs, and it fails on a reference without a tag. Linear time, like
the strict parser in grammar.py.
"""

from __future__ import annotations

from medix_r1.grammar import Completion, ThinkElement


def parse_as_public(text: str, *, think_element: ThinkElement = "thinking", wants_modality: bool = True) -> Completion:
    """Parse a reply by the public rules.

    Args:
        text: the reply as generated.
        think_element: the required element; the other spelling is not recognised.
        wants_modality: False ignores a tag. A missing tag is never a format problem here.

    Returns:
        The parts; `answer` is never None, because a reply without an answer block is graded as a whole.
    """
    start = text.find(f"<{think_element}>")
    before = text[:start].strip() if start >= 0 else ""
    is_tag = wants_modality and before.startswith("<") and before.endswith(">") and len(before) > 2
    answer = _between(text, "<answer>", "</answer>")
    return Completion(
        text=text,
        modality=before[1:-1].upper() if is_tag else None,
        think=_between(text, f"<{think_element}>", f"</{think_element}>"),
        answer=text.strip() if answer is None else answer,
        problems=_problems(text[start:] if start >= 0 else "", think_element),
    )


def _problems(text: str, think_element: ThinkElement) -> tuple[str, ...]:
    """Format problems of a text from its think tag on: it must be a think block, then an answer block to the end."""
    if not text:
        return (f"no <{think_element}> block",)
    text = text.rstrip()
    if not text.endswith("</answer>"):
        return ("text does not end with </answer>",)
    # One of the closing think tags must have an answer block right behind it.
    closing, position = f"</{think_element}>", text.find(f"</{think_element}>")
    while position >= 0:
        position += len(closing)
        rest = position + len(text[position : position + 64]) - len(text[position : position + 64].lstrip())
        if text.startswith("<answer>", rest):
            return ()
        position = text.find(closing, position)
    return (f"no <answer> block behind </{think_element}>",)


def _between(text: str, opening: str, closing: str) -> str | None:
    start = text.find(opening)
    end = text.find(closing, start + len(opening)) if start >= 0 else -1
    return text[start + len(opening) : end].strip() if end >= 0 else None
