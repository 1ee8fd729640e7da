"""The prompt that the policy is trained on and evaluated with: `policy.txt`, or `policy_text.txt` without an image.

Unlike a judge's prompt, nothing is defused here: the question is the row's own text, line breaks and `<` included.
Rows whose text holds chat-template tokens never come this far (data/check.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from medix_r1.grammar import ModalityTag, ThinkElement
from medix_r1.prompts import load

_PLACEHOLDER = re.compile(r"\{(question|think|tags)\}")


def policy_prompt(
    question: str,
    *,
    num_images: int,
    choices: Sequence[str] = (),
    think_element: ThinkElement = "think",
    instructions: bool = True,
) -> str:
    """Return the user message of a question, with one `<image>` where each image goes.

    Args:
        question: may hold its own `<image>` marks; without any, all images stand first.
        num_images: 0 gives the prompt that asks for no modality tag.
        choices: listed below the question as A., B., ...
        think_element: the element that the reward wants.
        instructions: False sends the bare question.
    """
    text = "\n".join(
        [question, *(f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))]
    )
    marks = "" if "<image>" in question else "<image>" * num_images
    if not instructions:
        return marks + text
    fields = {"question": text, "think": think_element, "tags": ", ".join(ModalityTag)}
    template = load("policy" if num_images else "policy_text").rstrip("\n")
    return marks + _PLACEHOLDER.sub(lambda match: fields[match[1]], template)
