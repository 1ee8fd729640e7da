"""How the public MediX-R1 code takes a reply and a reference apart: forgiving, and rewarded for it.

Only `reward=paper` reads like this, to compare with the strict grammar of grammar.py. The rules are those of the
paper's public reward function, as observed: white space round `<`, `>` and `/` goes; the format holds from the first
think tag to the end, whatever stands before it and whatever the blocks hold; the tag is all text before the think tag;
the first answer block is graded, and without one the whole text; full stops round answer and reference go. Linear
time, like the strict grammar.
"""

from __future__ import annotations

import re

from medix_r1.grammar import Completion, Reference, ThinkElement

_SIGNS = re.compile("([<>/])")


def parse_as_public(text: str, *, think_element: ThinkElement = "thinking", wants_modality: bool = True) -> Completion:
    """Take a reply apart by the public rules.

    Args:
        text: the reply as generated.
        think_element: the element that is looked for; the other spelling is not understood.
        wants_modality: has no effect: the public code expects a tag in every reply.

    Returns:
        `answer` is never None: untagged text is graded whole. `modality` is None unless one
        tag, and nothing else, stands before the think element.
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
    """Split a reference at its first `>`, wherever that stands.

    Returns:
        `modality` is None without any `>`; the public code then fails and scores judge and embedding 0.
    """
    tag, sign, answer = text.partition(">")
    if not sign:
        return Reference(modality=None, answer=text.strip())
    return Reference(modality=_tag(tag + sign) or tag.upper(), answer=_without_stops(answer))


def _without_space_round_signs(text: str) -> str:
    pieces = _SIGNS.split(text)
    last = len(pieces) - 1
    for place in range(0, len(pieces), 2):  # text stands at even places, signs between
        piece = pieces[place] if place == 0 else pieces[place].lstrip()
        pieces[place] = piece if place == last else piece.rstrip()
    return "".join(pieces)


def _without_stops(text: str) -> str:
    return text.strip().strip(".")


def _tag(text: str) -> str | None:
    """The name of a single tag in upper case; None for any other text, two tags among it."""
    name = text[1:-1] if text.startswith("<") and text.endswith(">") else ""
    return name.upper() if name and not _SIGNS.search(name) else None


def _problems(text: str, think_element: ThinkElement) -> tuple[str, ...]:
    """Why `<think>…</think>` and `<answer>…</answer>` do not cover a text that starts with the think tag."""
    if not text:
        return (f"no <{think_element}> block",)
    text = text.rstrip()
    if not text.endswith("</answer>"):
        return ("text does not end with </answer>",)
    behind = f"</{think_element}><answer>"  # nothing may stand between; white space is gone already
    if text.find(behind, len(think_element) + 2, len(text) - len("</answer>")) < 0:
        return (f"no <answer> block behind </{think_element}>",)
    return ()


def _between(text: str, opening: str, closing: str) -> str | None:
    start = text.find(opening)
    end = text.find(closing, start + len(opening)) if start >= 0 else -1
    return text[start + len(opening) : end].strip() if end >= 0 else None
