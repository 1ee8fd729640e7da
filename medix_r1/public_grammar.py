"""Lenient parser of replies and references, with the rules of the public MediX-R1 code; only `reward=paper` uses it.

The rules are those of the paper's public reward function, as observed. White space round `<`, `>` and `/` is removed.
The format is checked from the first think tag to the end; text before it and the blocks' contents do not matter. The
modality tag is the whole text before the think tag. The first answer block is graded, or the whole text if there is
none. Full stops round answer and reference are removed. Linear time, like the strict parser in grammar.py.
"""

from __future__ import annotations

import re

from medix_r1.grammar import Completion, Reference, ThinkElement

_SIGNS = re.compile("([<>/])")


def parse_as_public(text: str, *, think_element: ThinkElement = "thinking", wants_modality: bool = True) -> Completion:
    """Parse a reply by the public rules.

    Args:
        text: the reply as generated.
        think_element: the required element; the other spelling is not recognised.
        wants_modality: has no effect: the public code expects a tag in every reply.

    Returns:
        The parts. `answer` is never None, because a reply without an answer block is graded as a whole. `modality` is
        None unless the text before the think element is exactly one tag.
    """
    reply = _without_space_round_signs(text)
    start = reply.find(f"<{think_element}>")
    answer = _between(reply, "<answer>", "</answer>")
    return Completion(
        text=text,
        modality=_tag(reply[:start].strip()) if start >= 0 else None,
        think=_between(reply, f"<{think_element}>", f"</{think_element}>"),
        answer=_without_stops(reply if answer is None else answer),
        problems=_problems(reply[start:] if start >= 0 else "", think_element),
    )


def parse_public_reference(text: str) -> Reference:
    """Split a reference at its first `>`, wherever that is.

    Returns:
        Tag and answer. `modality` is None without any `>`; the public code then fails and scores judge and embedding 0.
    """
    tag, sign, answer = text.partition(">")
    if not sign:
        return Reference(modality=None, answer=text.strip())
    return Reference(modality=_tag(tag + sign) or tag.upper(), answer=_without_stops(answer))


def _without_space_round_signs(text: str) -> str:
    pieces = _SIGNS.split(text)
    last = len(pieces) - 1
    for place in range(0, len(pieces), 2):  # text is at even indices, signs are at odd ones
        piece = pieces[place] if place == 0 else pieces[place].lstrip()
        pieces[place] = piece if place == last else piece.rstrip()
    return "".join(pieces)


def _without_stops(text: str) -> str:
    return text.strip().strip(".")


def _tag(text: str) -> str | None:
    """The name of a single tag in upper case; None for every other text, such as two tags."""
    name = text[1:-1] if text.startswith("<") and text.endswith(">") else ""
    return name.upper() if name and not _SIGNS.search(name) else None


def _problems(text: str, think_element: ThinkElement) -> tuple[str, ...]:
    """Format problems of a text from its think tag on: it must be a think block, then an answer block to the end."""
    if not text:
        return (f"no <{think_element}> block",)
    text = text.rstrip()
    if not text.endswith("</answer>"):
        return ("text does not end with </answer>",)
    behind = f"</{think_element}><answer>"  # white space between them is already removed
    if text.find(behind, len(think_element) + 2, len(text) - len("</answer>")) < 0:
        return (f"no <answer> block behind </{think_element}>",)
    return ()


def _between(text: str, opening: str, closing: str) -> str | None:
    start = text.find(opening)
    end = text.find(closing, start + len(opening)) if start >= 0 else -1
    return text[start + len(opening) : end].strip() if end >= 0 else None
