"""The policy's prompt in training and evaluation: `policy.txt`, or `policy_text.txt` without an image.

Unlike in a judge's prompt, the question is not neutralised: it keeps its line breaks and `<`. data/check.py refuses
rows whose text holds chat-template tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from medix_r1.grammar import ModalityTag, ThinkElement
from medix_r1.prompts import load

_ANSWER, _CONFIDENCE = "<answer>your answer</answer>", "<confidence>C</confidence>"
_PLACEHOLDER = re.compile(r"\{(question|think|tags)\}")


def policy_prompt(
    question: str,
    *,
    num_images: int,
    choices: Sequence[str] = (),
    think_element: ThinkElement = "think",
    confidence: bool = False,
    instructions: bool = True,
) -> str:
    """Return the user message of a question, with one `<image>` for each image.

    Args:
        question: may hold `<image>` marks of its own; without any, all images come first.
        num_images: 0 gives the prompt that asks for no modality tag.
        choices: listed below the question as A., B., ...; an empty one only keeps its letter.
        think_element: the element that the reward requires.
        confidence: ask for `<confidence>` behind the answer, too.
        instructions: False returns question, choices and image marks only.
    """
    text = "\n".join(
        [question, *(f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False) if choice)]
    )
    marks = "" if "<image>" in text else "<image>" * num_images
    if not instructions:
        return marks + text
    fields = {"question": text, "think": think_element, "tags": ", ".join(ModalityTag)}
    template = load("policy" if num_images else "policy_text").rstrip("\n")
    if confidence:
        template = template.replace(_ANSWER, f"{_ANSWER}{_CONFIDENCE}") + "\n" + load("policy_confidence").rstrip("\n")
    return marks + _PLACEHOLDER.sub(lambda match: fields[match[1]], template)
