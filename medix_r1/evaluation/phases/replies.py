"""Parses a reply with the training grammar, and finds the option that an answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from medix_r1.grammar import ThinkElement, parse_completion
from medix_r1.wording.spelling import normalize_answer

_LETTER = re.compile(r"^[\s*_]*\(?\s*([A-Za-z])\s*(?:[).:,]\s*|\s+[-–]\s+|$)(.*)$", re.DOTALL)
_BEFORE = re.compile(r"^\s*(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)(?:\s+is)?\s*:?\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """A parsed reply.

    Attributes:
        think: content of the think block.
        answer: the text to grade; None when there is none.
        problems: violations of the grammar.
    """

    think: str | None
    answer: str | None
    problems: tuple[str, ...]


def parse_reply(
    text: str, reasoning: str | None, *, prompt: str, think_element: ThinkElement, has_image: bool
) -> Reply:
    """Parse a reply.

    Args:
        text: as generated.
        reasoning: reasoning that the server returned as a separate field; None when the text holds everything.
        prompt: with `training` only a single answer block is graded; with `plain`, which asks for no format, a reply
            without one is graded whole, without its finished think block.
        think_element: the element that the prompt asked for.
        has_image: whether a modality tag is required.
    """
    whole = f"<{think_element}>{reasoning}</{think_element}>{text}" if reasoning else text
    completion = parse_completion(whole, think_element=think_element, wants_modality=has_image)
    if prompt == "training" or completion.answer is not None:
        return Reply(completion.think, completion.answer, completion.problems)
    return Reply(completion.think, _without_thinking(whole), ())


def _without_thinking(text: str) -> str | None:
    for element in ("think", "thinking"):
        if (end := text.rfind(f"</{element}>")) >= 0:
            return text[end + len(element) + 3 :].strip()
        if f"<{element}>" in text:
            return None  # the think block never ended
    return text.strip()


def option_letter(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the option that an answer names unambiguously; None when a judge has to read it.

    Unambiguous is a letter alone (`B`, `(b)`, `B.`, `Answer: B`), a letter with its own option's text, or exactly one
    option's text. `B or C`, or a letter with another option's text, is ambiguous.
    """
    letters = ascii_uppercase[: len(choices)]
    spelt = [normalize_answer(choice) for choice in choices]
    core = _BEFORE.sub("", answer, count=1).strip("*_ \n")
    same = [letter for letter, text in zip(letters, spelt, strict=True) if text == normalize_answer(core)]
    if len(same) == 1:
        return same[0]
    match = _LETTER.match(core)
    if same or match is None or (letter := match[1].upper()) not in letters:
        return None
    rest = normalize_answer(match[2].strip("*_ "))
    return letter if rest in ("", spelt[letters.index(letter)]) else None
