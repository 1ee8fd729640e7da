"""How the public MediX-R1 code takes a reply apart: forgiving, and rewarded for it.

Only `reward=paper` reads replies like this, to show beside the strict grammar of grammar.py what forgiveness costs.
The rules are those of its reward function as observed (arXiv 2602.23363 leaves them open): the format holds from the
first think tag to the end, whatever stands before it and whatever the blocks hold; the tag is all text before the
think tag; the first answer block is graded, and without one the whole text. Its accidents are not repeated: white
space round signs stays, and an untagged reference is no error. Linear time, like the strict grammar.
"""

from __future__ import annotations

from medix_r1.grammar import Completion, ThinkElement


def parse_as_public(text: str, *, think_element: ThinkElement = "thinking", wants_modality: bool = True) -> Completion:
    """Take a reply apart by the public rules.

    Args:
        text: the reply as generated.
        think_element: the element that is looked for; the other spelling is not understood.
        wants_modality: has no effect on the format there: a missing tag costs the modality signal alone.

    Returns:
        `answer` is never None: untagged text is graded whole.
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
    """Why `<think>…</think>` and `<answer>…</answer>` do not cover a text that starts with the think tag."""
    if not text:
        return (f"no <{think_element}> block",)
    text = text.rstrip()
    if not text.endswith("</answer>"):
        return ("text does not end with </answer>",)
    # Any closing think tag will do, if an answer block opens right behind it.
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
